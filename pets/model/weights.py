"""Weights from outside: read a state dict as plain tensors and fit it to a module, or say in one line why not."""

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from pets.errors import UserError
from pets.files import check_regular

SHOWN_KEYS = 3


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a state dict of plain tensors (`.safetensors`, else torch's format); nothing in it is executed.

    Raises:
        ValueError: The file cannot be read as one, or holds something else than named tensors.
    """
    try:
        check_regular(path)
        if path.suffix == ".safetensors":
            state = safetensors.torch.load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile file fails in any way inside the unpickler
        reason = first_line(error)
        raise UserError(f"{path}: cannot be read as a state dict of plain tensors: {reason}") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path}: must hold a state dict, that is a mapping of names to tensors")
    return dict(state)


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], origin: str, drop: tuple[str, ...] = ()) -> None:
    """Copy `state` into `module`; every key must fit, except those below a dropped name such as `fc`.

    The counters `num_batches_tracked` may be absent: torchvision's older files were written before they existed.

    Raises:
        ValueError: Keys are missing, unexpected or of another shape; names `origin` and the first of them.
    """
    given = {key: value for key, value in state.items() if not key.startswith(tuple(f"{name}." for name in drop))}
    if told := misfits(module, given):
        raise UserError(f"{origin}: the state dict does not fit the model: {told}")
    module.load_state_dict(given, strict=False)


def misfits(module: nn.Module, given: Mapping[str, Tensor]) -> str:
    """Say how a state dict differs in keys and shapes from that of a module; an empty text if it fits."""
    own = module.state_dict()
    problems = {
        "missing": [key for key in own if key not in given and not key.endswith("num_batches_tracked")],
        "unexpected": [key for key in given if key not in own],
        "of another shape": [
            f"{key} {tuple(value.shape)} instead of {tuple(own[key].shape)}"
            for key, value in given.items()
            if key in own and value.shape != own[key].shape
        ],
    }
    return "; ".join(f"{len(keys)} {what}: {_first(keys)}" for what, keys in problems.items() if keys)


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its type where it has none."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def _first(keys: list[str]) -> str:
    return ", ".join(keys[:SHOWN_KEYS]) + (", ..." if len(keys) > SHOWN_KEYS else "")


def weights_file(weights: str, names: list[str]) -> Path:
    """Return the path of a local state dict.

    Raises:
        FileNotFoundError: There is no such file; the message lists `names`, the published weights.
    """
    path = Path(weights).expanduser()
    if not path.is_file():
        allowed = ", ".join([*names, "the path of a state dict", "null"])
        raise FileNotFoundError(f"model.weights={weights!r}: no such name or file; allowed: {allowed}")
    return path
