"""Declaring settings: a frozen dataclass whose fields know their type, range and sentence, and refuse anything else.

A declaration is an ordinary class of typed fields; pydantic checks it strictly (no text is a number, true is not 1),
and the text below a field is its sentence in `--help`.

    @declared("augment")
    class Augment:
        size: Annotated[int, Field(ge=8, le=8192)] = 224
        \"\"\"side of the images, in pixels\"\"\"
"""

import ast
import difflib
import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, dataclass_transform, get_args, get_origin

import pydantic.dataclasses
from pydantic import ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ArgsKwargs

from pets.errors import UserError

T = TypeVar("T")

BY_TARGET: dict[str, type] = {}
"""The declaration of what a `_target_` in conf/ builds."""
BY_PREFIX: dict[str, type] = {}
"""The declaration of a group without a `_target_`, such as `evaluate`."""

SHOWN = 120
"""Characters of a value that a message shows."""

Text = Annotated[str, Field(min_length=1)]
PathText = Annotated[str, Field(min_length=1)] | Path


class Input:
    """Marks a field that names a file or folder to read, which must be there when a command starts."""


class Output:
    """Marks a field that names where something is written; only the command or conf/ decides it, never a saved run."""


class Refused(UserError):
    """A value that its declaration does not allow."""

    def __init__(self, key: str, value: object, allowed: str) -> None:
        self.key, self.allowed = key, allowed
        super().__init__(f"{key}={shown(value)} is not allowed: {allowed}")


def shown(value: object) -> str:
    """Return a value as the start of one line, whatever a file made of it."""
    try:
        text = " ".join(repr(value).split())
    except (ValueError, RecursionError):  # a number of too many digits, lists in lists in lists
        text = f"<{type(value).__name__}>"
    return _short(text)


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


@dataclass_transform(frozen_default=True)
def declared(
    prefix: str | None, target: str | None = None, *, children: Sequence[str] = (), passed: Sequence[str] | None = ()
) -> Callable[[type[T]], type[T]]:
    """Make a class a declaration of the settings below a key.

    Args:
        prefix: The key, such as "data.presize"; empty for the keys at the top, None outside the configuration.
        target: What the settings build, as conf/ names it in `_target_`; None for a plain group.
        children: Keys below it that are groups of their own.
        passed: Further keys that are passed on without a check; None: any key.

    The class raises `UserError` in one line for a wrong value, a missing one and an unknown key.
    """
    config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, validate_by_name=True, validate_by_alias=True)

    def decorate(cls: type[T]) -> type[T]:
        made: Any = pydantic.dataclasses.dataclass(cls, frozen=True, config=config)
        made.PREFIX, made.TARGET, made.CHILDREN, made.PASSED = prefix, target, tuple(children), passed

        @wraps(made.__init__)
        def __init__(self: T, /, *args: Any, **values: Any) -> None:
            args, values = tuple(map(_plain, args)), {name: _plain(value) for name, value in values.items()}
            try:
                # What pydantic's own __init__ does, but for the names of its arguments: a file may hold any key.
                made.__pydantic_validator__.validate_python(ArgsKwargs(args, values), self_instance=self)
            except ValidationError as error:
                raise _refusal(type(self), error, dict(zip(fields(made), args, strict=False)) | values) from None

        made.__init__ = __init__
        if target is not None:
            BY_TARGET[target] = made
        elif prefix is not None:
            BY_PREFIX[prefix] = made
        return made  # type: ignore[no-any-return]

    return decorate


def _plain(value: Any) -> Any:
    """Return a list for a sequence that is none of Python's own, such as the configuration's."""
    own = str, bytes, list, tuple
    return list(value) if isinstance(value, Sequence) and not isinstance(value, own) else value


def fields(declaration: type) -> dict[str, FieldInfo]:
    """Return the fields of a declaration by the name that a configuration uses."""
    infos: dict[str, FieldInfo] = declaration.__pydantic_fields__  # type: ignore[attr-defined]
    return {info.alias or name: info for name, info in infos.items()}


def sentences(declaration: type) -> dict[str, str]:
    """Return what `--help` says of each field, by the name that a configuration uses.

    It is the field's `description`, or the text below it: read from the source when it is asked for, and not by
    pydantic's `use_attribute_docstrings`, which would add a third to the start of every command.
    """
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(declaration))).body
    below = {
        field.target.id: text.value.value
        for field, text in pairwise(definition.body)  # type: ignore[attr-defined]
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }
    infos: dict[str, FieldInfo] = declaration.__pydantic_fields__  # type: ignore[attr-defined]
    return {info.alias or name: " ".join(str(info.description or below[name]).split()) for name, info in infos.items()}


def key_of(declaration: type, name: str) -> str:
    """Return the whole key of a field."""
    prefix: str | None = declaration.PREFIX  # type: ignore[attr-defined]
    return f"{prefix}.{name}" if prefix else name


def nearest(name: str, names: Mapping[str, str]) -> str:
    """Return "; did you mean X?" for what the most similar of some names stands for, or nothing."""
    found = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {names[found[0]]}?" if found else ""


def _refusal(declaration: type, error: ValidationError, values: Mapping[str, Any]) -> UserError:
    """Turn pydantic's first complaint into one line."""
    first = error.errors()[0]
    known = fields(declaration)
    if not first["loc"]:  # a rule about several fields says it all
        return UserError(str(first["ctx"]["error"]))
    place = first["loc"][0]
    if isinstance(place, int) and place >= len(known):
        return UserError(f"{declaration.__name__} takes at most {len(known)} values")
    infos: dict[str, FieldInfo] = declaration.__pydantic_fields__  # type: ignore[attr-defined]
    keys = {name: info.alias or name for name, info in infos.items()}
    name = list(known)[place] if isinstance(place, int) else keys.get(place, place)
    key = _short(" ".join(key_of(declaration, name).split()))
    if first["type"] in ("missing", "missing_argument"):
        typed = declaration.PREFIX is not None  # type: ignore[attr-defined]
        return UserError(f"{key} is required: add {key}=VALUE to the command" if typed else f"{key} is missing")
    if name not in known:
        return UserError(f"no key {key}{nearest(name, {other: key_of(declaration, other) for other in known})}")
    says = str(first["ctx"]["error"]) if first["type"] == "value_error" else allowed(known[name])
    return Refused(key, {keys.get(given, given): value for given, value in values.items()}[name], says)


def allowed(field: FieldInfo) -> str:
    """Return what a field allows, in words: "a whole number from 8 to 8192"."""
    return _words(field.annotation, field.metadata)


def _words(kind: Any, metadata: Sequence[Any]) -> str:
    origin, members = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _words(members[0], [*metadata, *_flat(members[1:])])
    if origin in (Union, UnionType):
        texts = dict.fromkeys(_words(member, metadata) for member in members if member is not NoneType)
        return ", or ".join(texts) + (", or null" if NoneType in members else "")
    if origin is Literal:
        return ", ".join(str(member) for member in members)
    if kind is bool:
        return "true, false"
    if kind in (int, float):
        return _number_words("a whole number" if kind is int else "a number", metadata)
    if kind in (str, Path):
        return "a text"
    if origin is not None and issubclass(origin, Sequence):
        longest = next((m.max_length for m in metadata if hasattr(m, "max_length")), None)
        least = next((m.min_length for m in metadata if hasattr(m, "min_length")), 0)
        length = f" of {longest}" if longest else f" of at least {least}" if least else ""
        each = "" if members[0] is Any else f", each {_words(members[0], [])}"
        return f"a list{length}{each}"
    if origin is not None and issubclass(origin, Mapping):
        return "keys and values"
    return "anything"


def _flat(metadata: Sequence[Any]) -> list[Any]:
    return [one for entry in metadata for one in (entry.metadata if isinstance(entry, FieldInfo) else [entry])]


def _number_words(noun: str, metadata: Sequence[Any]) -> str:
    bound = {name: getattr(m, name) for m in metadata for name in ("ge", "gt", "le", "lt") if hasattr(m, name)}
    match bound:
        case {"ge": low, "le": high}:
            return f"{noun} from {low} to {high}"
        case {"gt": low, "lt": high}:
            return f"{noun} between {low} and {high}, both excluded"
        case {"ge": low, "lt": high}:
            return f"{noun}, at least {low} and below {high}"
        case {"gt": low, "le": high}:
            return f"{noun} above {low}, at most {high}"
        case {"ge": low}:
            return f"{noun}, at least {low}"
        case {"gt": low}:
            return f"{noun} above {low}"
        case _:
            return noun
