"""All that belongs to a trained network beside its tensors, as plain values, and the strict reading of it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pets.allowed import Rule, integer, list_of, number, one_of, text
from pets.data.presize import INTERPOLATIONS, METHODS, Presize
from pets.files import read_bytes, write_text
from pets.model.head import HEAD_DEFAULTS
from pets.model.losses import LOSSES
from pets.model.network import SPEC_KEYS, SPEC_VERSION

NAME = "model.json"
INTERPOLATION = "bilinear, antialiased"
"""How presized squares are resized to `size`."""
MAX_BYTES = 16 * 2**20
"""Of a model.json; thousands of classes fit in it."""
MAX_SIDE = 4096
MAX_HIDDEN = 16_384
_SHOWN = 80


def _name(longest: int = 1000) -> Rule:
    return Rule(lambda value: text().allows(value) and len(value) <= longest, f"a text of at most {longest} characters")


def _head(value: Any) -> bool:
    """Tell whether a value is options of a head, each of the type of its default and the width in bounds."""
    return (
        isinstance(value, Mapping)
        and value.keys() <= HEAD_DEFAULTS.keys()
        and all(
            type(option) is type(HEAD_DEFAULTS[key])
            or (isinstance(HEAD_DEFAULTS[key], float) and number(0).allows(option))
            for key, option in value.items()
        )
        and integer(1, MAX_HIDDEN).allows(value.get("hidden", 1))
    )


def _loss(value: Any) -> bool:
    """Tell whether a value names a loss, with numbers or short texts for its options."""
    options = number(-1e6, 1e6).or_null(), list_of(number(0, 1e6))
    return (
        isinstance(value, Mapping)
        and one_of(*LOSSES).allows(value.get("kind"))
        and all(key == "kind" or any(rule.allows(option) for rule in options) for key, option in value.items())
    )


def _classes(value: Any) -> bool:
    names = list_of(_name()).allows(value)
    return names and len(value) >= 2 and len(set(value)) == len(value)


_SIDE = integer(1, MAX_SIDE)
_RULES = {
    "version": one_of(SPEC_VERSION),
    "arch": _name(),
    "source": one_of("torchvision", "timm"),
    "weights": _name().or_null(),
    "head": Rule(_head, f"options of {', '.join(HEAD_DEFAULTS)}; hidden at most {MAX_HIDDEN}"),
    "classes": Rule(_classes, "a list of two or more different names"),
    "mean": list_of(number(0, 1), 3),
    "std": list_of(number(1e-6, 1), 3),
    "loss": Rule(_loss, f"options with a kind of {', '.join(LOSSES)}"),
    "frozen_bn": one_of("train", "eval", "always"),
    "presize": Rule(
        lambda value: (
            isinstance(value, Mapping)
            and value.keys() == {"size", "method", "interpolation"}
            and _SIDE.allows(value["size"])
            and one_of(*METHODS).allows(value["method"])
            and one_of(*INTERPOLATIONS).allows(value["interpolation"])
        ),
        f"a size of 1 to {MAX_SIDE}, a method of {', '.join(METHODS)}, an interpolation of {', '.join(INTERPOLATIONS)}",
    ),
    "size": _SIDE,
    "interpolation": one_of(INTERPOLATION),
    "threshold": number(0, 1).or_null(),
    "pets_version": _name(),
}


@dataclass(frozen=True)
class Metadata:
    """How images are treated, what the network is, and what its outputs mean."""

    spec: dict[str, Any]
    """What `Network.spec` returns."""
    presize: Presize
    """The item transform; evaluation takes its centre."""
    size: int
    """Side of the images given to the network, in pixels."""
    threshold: float | None = None
    """Probability below which a prediction means none of the classes; None: every prediction is accepted."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names in the order of the outputs."""
        return tuple(self.spec["classes"])

    def values(self) -> dict[str, Any]:
        """Return the contents of model.json."""
        return {
            **self.spec,
            "presize": asdict(self.presize),
            "size": self.size,
            "interpolation": INTERPOLATION,
            "threshold": self.threshold,
            "pets_version": version("pets"),
        }

    @classmethod
    def from_values(cls, values: Any, origin: str | Path) -> "Metadata":
        """Check every value; nothing but plain values of the expected types and ranges passes.

        Raises:
            ValueError: In one line, with the origin, the key, the value and what is allowed.
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"{origin}: must hold an object, not {_shown(values)}")
        for key in (*_RULES, *values):
            if key not in values:
                raise ValueError(f"{origin}: lacks {key}")
            if key not in _RULES:
                raise ValueError(f"{origin}: has an unknown key {_shown(key)}")
            if not _RULES[key].allows(values[key]):
                raise ValueError(f"{origin}: {key}={_shown(values[key])} is not allowed: {_RULES[key].allowed}")
        spec = {key: values[key] for key in ("version", "weights", *SPEC_KEYS)}
        return cls(spec, Presize(**values["presize"]), values["size"], values["threshold"])


def write_metadata(metadata: Metadata, folder: Path) -> None:
    """Write model.json into a folder."""
    write_text(folder / NAME, json.dumps(metadata.values(), indent=1) + "\n")


def read_metadata(folder: Path) -> Metadata:
    """Read the model.json of a folder.

    Raises:
        ValueError: It is not one that this release writes; in one line.
        OSError: It cannot be opened.
    """
    path = folder / NAME
    data = read_bytes(path, MAX_BYTES)
    try:
        values = json.loads(data.decode("utf-8"), object_pairs_hook=_distinct, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: is not JSON in UTF-8: {_shown(error)}") from error
    return Metadata.from_values(values, path)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return members


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")


def _shown(value: object) -> str:
    """Return a value as the start of one line."""
    try:
        shown = str(value) if isinstance(value, Exception) else repr(value)
    except (ValueError, RecursionError):  # a number of too many digits, lists in lists in lists
        shown = f"a {type(value).__name__}"
    shown = " ".join(shown.split())
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
