"""Read what a fit saved: plain values and tensors, from which the network is rebuilt; nothing in a file is executed."""

from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

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
            raise ValueError(f"{self.path}: {error}") from error
        load_strictly(network, self.weights, str(self.path))
        return network.eval()


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint, or the one with the final weights of a run folder.

    Raises:
        FileNotFoundError: There is none.
        ValueError: The file is not a checkpoint of this project.
    """
    path = find_checkpoint(Path(path))
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # a damaged or hostile file fails in any way inside the unpickler
        raise ValueError(f"{path}: cannot be read as a checkpoint of plain values: {first_line(error)}") from error
    if isinstance(content, dict) and "PetsDataModule" in content:  # as version 0.1 called it
        content["ImageDataModule"] = content.pop("PetsDataModule")
    if not isinstance(content, dict) or not {"pets", "state_dict", "ImageDataModule"} <= content.keys():
        raise ValueError(f"{path}: is not a checkpoint that task=fit wrote")
    step = content.get("global_step", 0)
    return Checkpoint(path, content["pets"], content["state_dict"], content["ImageDataModule"], step, _epochs(content))


def _epochs(content: dict[str, Any]) -> int:
    """Return the epochs that a checkpoint has behind it; when it is saved, Lightning counts the last as processed."""
    try:
        return int(content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])
    except (KeyError, TypeError, ValueError):
        return 0


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
