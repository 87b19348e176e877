"""The metadata of a trained network, model.json: plain values, read strictly."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from pets.data.presize import Presize
from pets.errors import UserError
from pets.files import read_bytes, write_text
from pets.model.losses import loss_from_spec
from pets.model.network import SPEC_KEYS, SPEC_SINCE_02, SPEC_VERSION
from pets.settings.augment import Augment
from pets.settings.declare import declared, fields, shown
from pets.settings.model import Head, Library, Model

NAME = "model.json"
INTERPOLATION = "bilinear, antialiased"
"""How presized squares are resized to `size`."""
MAX_BYTES = 16 * 2**20
"""Of a model.json; thousands of classes fit in it."""


Name = Annotated[str, Field(min_length=1, max_length=1000)]
Share = Annotated[float, Field(ge=0, le=1)]


@declared(None)
class ModelJson:
    """The keys of a model.json; groups of settings are checked by their own declarations."""

    version: int
    arch: Name
    source: Library
    weights: Name | None
    head: Mapping[str, Any]
    classes: Annotated[Sequence[Name], Field(min_length=2)]
    mean: Annotated[Sequence[Share], Field(min_length=3, max_length=3)]
    std: Annotated[Sequence[Annotated[float, Field(ge=1e-6, le=1)]], Field(min_length=3, max_length=3)]
    loss: Mapping[str, Any]
    frozen_bn: Name
    presize: Mapping[str, Any]
    size: int
    interpolation: Literal[INTERPOLATION]  # type: ignore[valid-type]
    threshold: Share | None
    pets_version: Name
    false_alarms: Annotated[float, Field(gt=0, lt=1)] | None = None
    groups: int = SPEC_SINCE_02["groups"]
    drop_path: float | None = SPEC_SINCE_02["drop_path"]
    class_token: bool = SPEC_SINCE_02["class_token"]

    @field_validator("version")
    @classmethod
    def _this_one(cls, number: int) -> int:
        if number != SPEC_VERSION:
            raise UserError(f"this release reads version {SPEC_VERSION}")
        return number

    @field_validator("presize")
    @classmethod
    def _complete(cls, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        if settings.keys() != fields(Presize).keys():  # what is left out must not become a default
            raise UserError(", ".join(fields(Presize)))
        return settings

    @field_validator("classes")
    @classmethod
    def _different(cls, classes: Sequence[str]) -> Sequence[str]:
        if len(set(classes)) < len(classes):
            raise UserError("a list of two or more different names")
        return classes


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
    false_alarms: float | None = None
    """Share of the images of the classes that a detector was made to refuse; None: no detector is with the weights."""

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
            "false_alarms": self.false_alarms,
            "pets_version": version("pets"),
        }

    @classmethod
    def from_values(cls, values: Any, origin: str | Path) -> "Metadata":
        """Check every value; nothing but plain values of the expected types and ranges passes.

        Raises:
            ValueError: In one line, with the origin, the key, the value and what is allowed.
        """
        if not isinstance(values, Mapping):
            raise UserError(f"{origin}: must hold an object, not {shown(values)}")
        try:
            ModelJson(**{str(key): value for key, value in values.items()})
            since = {key: values.get(key, before) for key, before in SPEC_SINCE_02.items()}
            Model(values["source"], values["arch"], values["weights"], values["frozen_bn"], **since)
            Head(**values["head"])
            loss_from_spec(values["loss"]).check(len(values["classes"]))
            Augment(size=values["size"])
            presize = Presize(**values["presize"])
        except UserError as error:
            raise UserError(f"{origin}: {error}") from None
        spec = {key: values[key] for key in ("version", "weights", *SPEC_KEYS)} | since
        return cls(spec, presize, values["size"], values["threshold"], values.get("false_alarms"))


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
        raise UserError(f"{path}: is not JSON in UTF-8: {shown(error)}") from error
    return Metadata.from_values(values, path)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise UserError("a key stands twice in one object")
    return members


def _refuse_constant(name: str) -> None:
    raise UserError(f"{name} is not a number of JSON")
