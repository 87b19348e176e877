"""A trained network with its metadata, from a checkpoint, a run folder or an exported folder."""

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
from pets.model.weights import read_state_dict

WEIGHTS = "model.safetensors"


class Artifact(NamedTuple):
    """A network in evaluation mode and what belongs to it."""

    network: Network
    metadata: Metadata
    origin: Path
    """The checkpoint, or the exported folder."""


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
        metadata = read_metadata(path)
        return Artifact(build(metadata, read_state_dict(path / WEIGHTS), str(path)), metadata, path)
    checkpoint = read_checkpoint(path)
    if not isinstance(checkpoint.weights, Mapping):
        raise UserError(f"{checkpoint.path}: is not a checkpoint that task=fit wrote")
    metadata = _describe(checkpoint.spec, checkpoint.data, checkpoint.path)
    return Artifact(build(metadata, checkpoint.weights, str(checkpoint.path)), metadata, checkpoint.path)


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
    described = {name: _kind(tensor, "cpu") for name, tensor in network.state_dict().items()}
    given = {name: _kind(tensor) for name, tensor in weights.items()}
    for name in chain(described, given):
        if described.get(name) != given.get(name):
            raise UserError(
                f"{origin}: the tensor {str(name)[:200]!r} is {given.get(name, 'missing')}, "
                f"the metadata says {described.get(name, 'none')}"
            )
    _check_statistics(metadata, weights, origin)
    network.load_state_dict({name: tensor.clone() for name, tensor in weights.items()}, assign=True)
    if any(tensor.is_meta for tensor in chain(network.parameters(), network.buffers())):
        # Some values are computed when the network is built and are in no state dict.
        network = Network.from_spec(metadata.spec)
        network.load_state_dict(dict(weights))
    return network.eval()


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
