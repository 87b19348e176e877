"""Overrides of a command line, `key=value`, in Hydra's grammar and as a shell's user types them."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf

from pets.errors import UserError
from pets.settings.config import ALIASES
from pets.settings.declare import BY_PREFIX, BY_TARGET, fields, key_of, shown

SWEPT = re.compile(r"^(choice|range|interval|glob|shuffle)\(|^[^\[{]*,")
"""A value of Hydra's grammar that stands for several."""


def _mentions_path(annotation: Any) -> bool:
    return annotation is Path or any(map(_mentions_path, get_args(annotation)))


PATH_KEYS = {
    *(
        key_of(declaration, name)
        for declaration in (*BY_PREFIX.values(), *BY_TARGET.values())
        for name, field in fields(declaration).items()
        if _mentions_path(field.annotation)
    ),
    "source",
    "hydra.run.dir",
    "hydra.sweep.dir",
}
"""Keys whose values are paths, which may hold any character."""
OWN_STEPS = {target for target, declaration in BY_TARGET.items() if declaration.PREFIX == "augment.steps[]"}  # type: ignore[attr-defined]
"""Classes of this project that a run may name among its `augment.steps`: each value of theirs is checked."""


def key(override: str) -> str:
    """Return the key of an override, without the `+` or `~` before it and the package after it."""
    return re.sub(r"^[+~]*", "", override.partition("=")[0]).partition("@")[0]


def parse(override: str) -> Override:
    """Return an override as Hydra reads it.

    Raises:
        HydraException: It is none.
    """
    return OverridesParser.create().parse_override(override)


def quoted(text: str) -> str:
    """Return a text as a quoted value of Hydra's grammar, whatever characters it has."""
    # Backslashes count as themselves except before a quote, and the closing quote is one.
    text = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), text, count=0)
    return f"'{text}'"


def value_text(value: Any) -> str:
    """Return a plain value in Hydra's grammar.

    Raises:
        UserError: It holds something else than plain values, or an interpolation that is more than a key.
    """
    if isinstance(value, Mapping):
        own = value.get("_target_") in OWN_STEPS
        if not all(re.fullmatch(r"[A-Za-z]\w*", str(name)) or (own and name == "_target_") for name in value):
            raise UserError(f"{shown(value)} has keys that are no plain names")
        return "{" + ", ".join(f"{name}: {value_text(below)}" for name, below in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(value_text, value)) + "]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, str):
        if "${" in value and not re.fullmatch(r"\$\{[\w.]+\}", value):
            raise UserError(f"{value!r} is more than a key")
        return value if "${" in value else quoted(value)
    return str(value)


def as_typed(text: str, multirun: bool = False) -> str:
    """Return an override as its author means it: `~` expanded, paths with any characters, old names as today's.

    In a multirun a comma in a path separates two of them.
    """
    match = re.match(r"^([+~]*)([^=]+)=(.*)$", text, re.DOTALL)
    if match is None:
        return text
    sign, name, value = match.groups()
    name = ALIASES.get(name, name)
    if re.match(r"^~[\w.-]*(/|$)", value):
        value = str(Path(value).expanduser())
    plain = f"{sign}{name}={value}"
    try:
        parsed = parse(plain)
    except HydraException:
        return f"{sign}{name}={quoted(value)}" if value else plain
    if name not in PATH_KEYS or "${" in value or value in ("", "null"):
        return plain
    if parsed.is_sweep_override():
        return plain if multirun else f"{sign}{name}={quoted(value)}"
    if value[0] in "'\"" and value[0] == value[-1]:
        return plain
    return plain if parsed.value() == value else f"{sign}{name}={quoted(value)}"


def values(overrides: Iterable[str]) -> dict[str, Any]:
    """Return the last value of each key of some overrides, as Hydra reads them; a sweep is its text."""
    found = {}
    for text in overrides:
        if "=" in text:
            parsed = parse(text)
            found[key(text)] = text.partition("=")[2] if parsed.is_sweep_override() else parsed.value()
    return found


def within(name: str, names: Iterable[str]) -> bool:
    """Tell whether a key is one of some keys, or below one."""
    return any(name == other or name.startswith(f"{other}.") for other in names)


def typed() -> list[str]:
    """Return the overrides of the command line, as they were typed; none for a run that Hydra did not start."""
    if not HydraConfig.initialized():
        return []
    # Read as text: an interpolation in an override would be resolved by reading the list.
    overrides: Any = OmegaConf.to_container(HydraConfig.get().overrides)
    return list(overrides["task"])


def varied_first(overrides: Sequence[str], swept: Collection[str]) -> list[str]:
    """Return the overrides with those of swept keys before the others."""
    return sorted(overrides, key=lambda override: override.lstrip("+").partition("=")[0] not in swept)


def swept() -> set[str]:
    """Return the keys that a sweep varies, as far as Hydra's record of it tells; none outside a sweep."""
    if not (HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN):
        return set()
    hydra = HydraConfig.get()
    record = Path(hydra.sweep.dir) / "multirun.yaml"
    typed = OmegaConf.load(record).hydra.overrides.task if record.is_file() else []
    pairs = (override.lstrip("+").partition("=") for override in typed)
    return {key for key, _, value in pairs if SWEPT.search(value)} | set(hydra.sweeper.get("params") or {})


def choices() -> dict[str, str]:
    """Return the file chosen of each group of the configuration; none for a run that Hydra did not start."""
    if not HydraConfig.initialized():
        return {}
    return dict(OmegaConf.select(HydraConfig.instance().cfg, "hydra.runtime.choices") or {})  # type: ignore[arg-type]
