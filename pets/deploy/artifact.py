"""A trained network with its metadata, from a checkpoint, a run folder or an exported folder."""

import dataclasses
import logging
from collections.abc import Mapping
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from pets.deploy.metadata import NAME, Metadata, read_metadata
from pets.errors import UserError
from pets.model.checkpoint import read_checkpoint
from pets.model.losses import loss_from_spec
from pets.model.network import Network
from pets.model.unknown import UnknownDetector, digest_of
from pets.model.weights import read_state_dict
from pets.runs.run_folder import RunFolder

WEIGHTS = "model.safetensors"
DETECTOR = "unknown."
"""Before the names of the detector's tensors in it."""

log = logging.getLogger(__name__)


class Artifact(NamedTuple):
    """A network in evaluation mode and what belongs to it."""

    network: Network
    metadata: Metadata
    origin: Path
    """The checkpoint, or the exported folder."""
    detector: UnknownDetector | None = None
    """Tells images of none of the classes, in evaluation mode on the CPU; None: there is none."""

    def with_detector(self, path: Path) -> "Artifact":
        """Return the model with the detector that an evaluation of it left; as it is, warned, if it is of another.

        Raises:
            ValueError: The file is not one that this release writes; in one line.
        """
        tensors = read_state_dict(path)
        described = {
            "weights": torch.empty(32, dtype=torch.uint8),
            "false_alarms": torch.empty((), dtype=torch.float64),
        }
        given = {name: tensors.pop(name) for name in described if name in tensors}
        _compare(described, given, str(path))
        if not torch.equal(given["weights"], digest_of(self.network.state_dict())):
            log.warning(f"{path} is of other weights than {self.origin}: unknown images are not told")
            return self
        share = float(given["false_alarms"])
        metadata = dataclasses.replace(self.metadata, false_alarms=share)
        return self._replace(metadata=metadata, detector=build_detector(self.network, share, tensors, str(path)))


def read_artifact(path: str | Path) -> Artifact:
    """Read a checkpoint, the final checkpoint of a run folder, or an exported folder.

    Of an exported folder only model.json and model.safetensors are opened. A checkpoint is read with torch's
    `weights_only`. What a file says is data: it chooses among the architectures and losses of this release and of timm.

    Raises:
        FileNotFoundError: There is no such file or folder, or it holds neither.
        ValueError: A file is damaged, or not one that this release writes; in one line.
    """
    path = Path(path).expanduser()
    if (path / NAME).exists():
        metadata, weights, detector = read_metadata(path), read_state_dict(path / WEIGHTS), None
        if (share := metadata.false_alarms) is None:
            return Artifact(build(metadata, weights, str(path)), metadata, path)
        apart = {name: weights.pop(name) for name in list(weights) if name.startswith(DETECTOR)}
        network = build(metadata, weights, str(path))
        detector = build_detector(
            network, share, {name.removeprefix(DETECTOR): tensor for name, tensor in apart.items()}, str(path)
        )
        return Artifact(network, metadata, path, detector)
    checkpoint = read_checkpoint(path)
    if not isinstance(checkpoint.weights, Mapping):
        raise UserError(f"{checkpoint.path}: is not a checkpoint that task=fit wrote")
    metadata = _describe(checkpoint.spec, checkpoint.data, checkpoint.path)
    artifact = Artifact(build(metadata, checkpoint.weights, str(checkpoint.path)), metadata, checkpoint.path)
    run = RunFolder.of_checkpoint(checkpoint.path)
    return artifact.with_detector(run.unknown) if run and run.unknown.is_file() else artifact


def build(metadata: Metadata, weights: Mapping[str, Tensor], origin: str) -> Network:
    """Return the described network with these weights, copied, in evaluation mode.

    The network is laid out without memory first, so that a metadata of something huge costs nothing.

    Raises:
        ValueError: The tensors are not exactly those of the described network.
    """
    try:
        loss = loss_from_spec(metadata.spec["loss"])  # its class weights are options, in no state dict
        loss.check(len(metadata.classes))
        with torch.device("meta"):
            network = Network.from_spec({**metadata.spec, "loss": {"kind": loss.kind}})
        network.loss = loss
    except ValueError as error:
        raise UserError(f"{origin}: {error}") from error
    _compare(network.state_dict(), weights, origin)
    _check_statistics(metadata, weights, origin)
    network.load_state_dict({name: tensor.clone() for name, tensor in weights.items()}, assign=True)
    if any(tensor.is_meta for tensor in chain(network.parameters(), network.buffers())):
        # Some values are computed when the network is built and are in no state dict.
        network = Network.from_spec(metadata.spec)
        network.load_state_dict(dict(weights))
    return network.eval()


def build_detector(
    network: Network, false_alarms: float, tensors: Mapping[str, Tensor], origin: str
) -> UnknownDetector:
    """Return the detector of unknown images of a network, of tensors that must be exactly those it has.

    Raises:
        ValueError: They are not, or a value is none that a detector has.
    """
    output = network.head[-1]
    assert isinstance(output, torch.nn.Linear)
    detector = UnknownDetector(len(network.classes), output.in_features, false_alarms)
    _compare(detector.state_dict(), tensors, origin)
    if not (0 < false_alarms < 1 and all(tensor.isfinite().all() for tensor in tensors.values())):
        raise UserError(f"{origin}: false_alarms={false_alarms}, or a tensor, is nothing that a detector has")
    detector.load_state_dict(dict(tensors))
    return detector.eval()


def _compare(described: Mapping[str, Tensor], given: Mapping[str, Tensor], origin: str) -> None:
    """Refuse tensors from a file that are not exactly those described."""
    wanted = {name: _kind(tensor, "cpu") for name, tensor in described.items()}
    found = {name: _kind(tensor) for name, tensor in given.items()}
    for name in chain(wanted, found):
        if wanted.get(name) != found.get(name):
            raise UserError(
                f"{origin}: the tensor {str(name)[:200]!r} is {found.get(name, 'missing')}, "
                f"the metadata says {wanted.get(name, 'none')}"
            )


def _describe(spec: object, data: object, path: Path) -> Metadata:
    """Return the metadata of a checkpoint from the parts that the network and the data module left in it."""
    if not isinstance(spec, Mapping) or not isinstance(data, Mapping):
        raise UserError(f"{path}: is not a checkpoint that task=fit wrote")
    if data.get("classes") != spec.get("classes"):
        raise UserError(f"{path}: the data and the model have different classes")
    treatment = {key: value for key, value in data.items() if key != "classes"}
    return Metadata.from_values({**spec, **treatment, "threshold": None, "pets_version": version("pets")}, path)


def _kind(value: object, device: str | None = None) -> str:
    """Return all that must agree between a described tensor, which will be on `device`, and the one in a file."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)} {value.layout} {device or value.device}"


def _check_statistics(metadata: Metadata, weights: Mapping[str, Tensor], origin: str) -> None:
    """Refuse a mean or std that is written in two places and differs."""
    for name in ("mean", "std"):
        written = torch.tensor(metadata.spec[name], dtype=torch.float32)
        if not torch.allclose(weights[name].flatten(), written, rtol=1e-5, atol=1e-6):
            raise UserError(f"{origin}: {name}={written.tolist()} is not what the weights hold")
