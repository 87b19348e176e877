"""Compose conf/ as Hydra will, before Hydra makes a folder, and explain a wrong command in one line."""

import difflib
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.types import ChoiceSweep
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf, open_dict

from pets.errors import UserError
from pets.runs.overrides import key, parse, quoted
from pets.settings.config import INSTEAD, config_dir, known_keys, no_such_key

OPTIONAL = ("experiment", "debug", "sweep")
"""Groups whose missing file Hydra passes over without a word."""

OPEN = ("callbacks", "logger", "trainer")
"""Groups to which a person may add what Lightning takes."""


class Conf:
    """The configuration files of this program, and those that `--config-dir` adds.

    Args:
        extra: A folder with a person's own files.
        name: The file at the top; None: config.
    """

    def __init__(self, extra: str | None = None, name: str | None = None) -> None:
        self.folders = [config_dir(), *([Path(extra).absolute()] if extra else [])]
        self.name = name or "config"

    def files(self) -> dict[str, list[str]]:
        """Return the names that each group can take, by group, in the order of config.yaml."""
        found: dict[str, set[str]] = {}
        for folder in self.folders:
            for path in folder.glob("*/*.yaml"):
                if not path.stem.startswith("_"):
                    found.setdefault(path.parent.name, set()).add(path.stem)
        return {group: sorted(names) for group, names in sorted(found.items())}

    def targets(self) -> set[str]:
        """Return every class that a file names as a `_target_`."""
        named = re.compile(r"^[\s-]*_target_: *['\"]?([\w.]+)", re.MULTILINE)
        texts = (path.read_text(encoding="utf-8") for folder in self.folders for path in folder.rglob("*.yaml"))
        return {target for text in texts for target in named.findall(text)}

    def compose(self, overrides: Sequence[str], multirun: bool = False) -> DictConfig:
        """Compose overrides, of each sweep of a multirun its first value, to a configuration that needs no run.

        Raises:
            UserError: In one line, for a key or file that does not exist and for what Hydra cannot read.
        """
        wanted = [next(_values(override)) if multirun else override for override in overrides]
        self._check_choices(wanted)
        search = [f"hydra.searchpath=[{quoted(f'file://{folder}')}]" for folder in self.folders[1:]]
        try:
            with initialize_config_dir(str(self.folders[0]), version_base="1.3"):
                cfg = compose(self.name, overrides=[*wanted, *search], return_hydra_config=True)
        except MissingConfigException as error:
            raise self._no_file(str(error.missing_cfg_file)) from None
        except HydraException as error:
            raise self._explained(error, wanted) from None
        for group in OPTIONAL:
            if (choice := cfg.hydra.runtime.choices.get(group)) and choice not in self.files().get(group, ()):
                raise self._no_file(f"{group}/{choice}")
        if "${hydra:" in str(OmegaConf.to_container(cfg)["run_dir"]):  # type: ignore[index, call-overload]
            with open_dict(cfg):
                cfg.run_dir = cfg.hydra.run.dir
        return cfg

    def _check_choices(self, overrides: Sequence[str]) -> None:
        """Refuse a group that is given neither a name nor a list of names: Hydra's composition fails on it."""
        groups = self.files()
        for text in overrides:
            try:
                parsed = parse(text)
            except HydraException:
                continue  # composing says what is wrong with it
            name, value = key(text), parsed.value()
            names = value if isinstance(value, list) else [value]
            if not name:
                raise UserError(f"the command cannot be read: {text!r} names no key")
            if (
                (name in groups or "/" in name)
                and not parsed.is_delete()
                and not all(isinstance(n, str) for n in names)
            ):
                raise self._no_file(f"{name}/{text.partition('=')[2]}")

    def _no_file(self, missing: str) -> UserError:
        group, _, name = missing.rpartition("/")
        names = self.files().get(group, [])
        similar = difflib.get_close_matches(name, names, n=1)
        meant = f"; did you mean {similar[0]}?" if similar else ""
        return UserError(f"{group}={name} is not allowed{meant or ':'} {', '.join(names) or 'no file of this name'}")

    def _explained(self, error: HydraException, overrides: Sequence[str]) -> UserError:
        """Return the one line for an error of Hydra's composition."""
        line = str(error).splitlines()[0]
        if unknown := re.match(r"Could not (?:override|delete from config\.) '([^']+)'", line):
            name = unknown[1]
            others = [text for text in overrides if key(text) != name]
            raw: dict[str, Any] = OmegaConf.to_container(self.compose(others))  # type: ignore[assignment]
            says = no_such_key(name, [*known_keys(raw), *self.files()])
            is_open = name.partition(".")[0] in OPEN and name not in INSTEAD
            return UserError(f"{says}; +{name}= adds a key of your own" if is_open else says)
        if there := re.match(r"Could not append to config\. An item is already at '([^']+)'", line):
            return UserError(f"+{there[1]}: the key is there already, type {there[1]}= without the +")
        if ambiguous := re.match(r"Ambiguous value for argument '([^']+)'", line):
            return UserError(f"{ambiguous[1]}: several values are a sweep, add -m; [a,b] is a list")
        return UserError(f"the command cannot be read: {' '.join(line.split())}")


def each_value(overrides: Sequence[str]) -> Iterator[list[str]]:
    """Yield the overrides of a multirun once for each value that is swept, but the first, which `compose` takes.

    Other keys that are swept stay as they are: every value is seen, not every combination.
    """
    for place, override in enumerate(overrides):
        for one in islice(_values(override), 1, None):
            yield [*overrides[:place], one, *overrides[place + 1 :]]


def _values(override: str) -> Iterator[str]:
    """Yield an override with each value of its sweep, of a range or an interval with its start."""
    if "=" not in override:
        yield override
        return
    try:
        parsed = parse(override)
    except HydraException:
        yield override
        return
    if not parsed.is_sweep_override():
        yield override
        return
    sweep: Any = parsed.value()
    values = parsed.sweep_string_iterator() if isinstance(sweep, ChoiceSweep) else [sweep.start]
    yield from (f"{override.partition('=')[0]}={value}" for value in values)
