"""Read what a fit saved: plain values and tensors, from which the network is rebuilt; nothing in a file is executed."""

import zipfile
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import torch
from torch import Tensor

from pets.errors import UserError
from pets.files import open_regular
from pets.model.network import Network
from pets.model.weights import first_line, load_strictly
from pets.runs.run_folder import RunFolder

AnyNetwork = TypeVar("AnyNetwork", bound=Network)


class Checkpoint(NamedTuple):
    """The parts of a checkpoint that matter after training."""

    path: Path
    spec: dict[str, Any]
    """What `Network.spec` returned."""
    weights: dict[str, Tensor]
    data: dict[str, Any]
    """How images are treated: `classes`, `presize` (`size`, `method`, `interpolation`), `size`, `interpolation`."""
    step: int
    """Optimizer steps taken."""
    epochs: int
    """Epochs completed."""

    def build(self, kind: type[AnyNetwork]) -> AnyNetwork:
        """Return the trained network, in evaluation mode on the CPU, as a `Network` or a subclass of it.

        Raises:
            ValueError: The spec is not one of this release, or the weights do not fit it.
        """
        try:
            network = kind.from_spec(self.spec)
        except ValueError as error:
            raise UserError(f"{self.path}: {error}") from error
        load_strictly(network, self.weights, str(self.path))
        return network.eval()


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint, or the one with the final weights of a run folder.

    Raises:
        FileNotFoundError: There is none.
        ValueError: The file is not a checkpoint of this project.
    """
    path = find_checkpoint(Path(path))
    content = read_plain(path, mmap=True)
    step = content.get("global_step", 0)
    return Checkpoint(path, content["pets"], content["state_dict"], content["ImageDataModule"], step, _epochs(content))


def read_plain(path: Path, mmap: bool = False) -> dict[str, Any]:
    """Return all that a checkpoint holds: plain values, and tensors on the CPU.

    Args:
        path: The file.
        mmap: Whether tensors stay in the file until they are used; it must not be written to meanwhile.

    Raises:
        OSError: It cannot be opened.
        ValueError: It is not a checkpoint of this project.
    """
    try:
        with open_regular(path) as file:
            _check_archive(file)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except Exception as error:  # a damaged or hostile file fails in any way inside the unpickler
        raise UserError(f"{path}: cannot be read as a checkpoint of plain values: {first_line(error)}") from error
    if isinstance(content, dict) and "PetsDataModule" in content:  # as version 0.1 called it
        content["ImageDataModule"] = content.pop("PetsDataModule")
    if not isinstance(content, dict) or not {"pets", "state_dict", "ImageDataModule"} <= content.keys():
        raise UserError(f"{path}: is not a checkpoint that task=fit wrote")
    for key in ("pets", "state_dict", "ImageDataModule"):
        if not isinstance(content[key], dict):
            raise UserError(f"{path}: {key} is a {type(content[key]).__name__}, not keys with values")
    if not _is_treatment(content["ImageDataModule"]):
        raise UserError(f"{path}: ImageDataModule does not say how images are treated: classes, presize, size")
    if type(content.get("global_step", 0)) is not int:
        raise UserError(f"{path}: global_step={str(content['global_step'])[:80]!r} is not a whole number")
    return content


def _epochs(content: dict[str, Any]) -> int:
    """Return the epochs that a checkpoint has completed; when it is saved, Lightning counts the last as processed."""
    try:
        return int(content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])
    except (KeyError, TypeError, ValueError):
        return 0


def _check_archive(file: BinaryIO) -> None:
    """Check that an archive unpacks to no more than its size; torch packs nothing.

    Raises:
        ValueError: It does.
    """
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise UserError("it is compressed, as no checkpoint is")


def _is_treatment(data: dict[str, Any]) -> bool:
    presize = data.get("presize")
    return (
        data.keys() == {"classes", "presize", "size", "interpolation"}
        and isinstance(presize, dict)
        and presize.keys() == {"size", "method", "interpolation"}
        and type(data["size"]) is type(presize["size"]) is int
        and isinstance(data["classes"], list)
        and all(isinstance(text, str) for text in (*data["classes"], data["interpolation"], presize["method"]))
        and isinstance(presize["interpolation"], str)
    )


def find_checkpoint(path: Path) -> Path:
    """Return the path itself, or `checkpoints/last.ckpt` of a run folder.

    Raises:
        FileNotFoundError: There is no such file.
    """
    if not path.exists():
        raise FileNotFoundError(f"ckpt_path={path}: no such file or folder")
    if not path.is_dir():
        return path
    run = RunFolder(path)
    if not run.holds_run():
        raise FileNotFoundError(f"ckpt_path={path}: the folder holds no {run.last.relative_to(path).as_posix()}")
    return run.last
