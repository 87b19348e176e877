"""The configuration that a run saved: written by the run, read back as the overrides that compose it again.

A run folder may be anybody's: of its words only plain values, keys and the names of the project's own files are taken,
no resolver runs on them, and none of them says where something is written.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from pets.errors import UserError
from pets.files import own_folder, read_text, write_text
from pets.runs.overrides import key, parse, quoted, value_text, within
from pets.runs.run_folder import RunFolder
from pets.settings.config import ALIASES, INSTANTIATE, is_output, leaves, marked
from pets.settings.declare import Input

NOT_TAKEN = ("ckpt_path", "source", "task", "run_dir", "sweep", "debug", "hydra", "serve")
"""Keys that belong to one command, not to the run."""
LOGGER_NAMES = ("name", "version", "prefix", "project", "experiment_name", "run_name")
"""Keys of loggers whose value is a name, in the run folder or in the person's own account."""
MAX_BYTES = 2**20
"""Of a file in `.hydra`."""

Compose = Callable[[list[str]], DictConfig]


def remember(run: RunFolder, cfg: DictConfig, command: Iterable[str]) -> None:
    """Write what a later command takes up: overrides.yaml, and config.yaml and hydra.yaml unresolved."""
    own_folder(run.hydra)
    kept = [text for text in command if key(text) != "ckpt_path"]
    texts = {
        "overrides.yaml": yaml.safe_dump(kept, allow_unicode=True),
        "config.yaml": OmegaConf.to_yaml(cfg),
        "hydra.yaml": OmegaConf.to_yaml(HydraConfig.instance().cfg),
    }
    for name, text in texts.items():
        write_text(run.hydra / name, text)


def saved_command(run: RunFolder, typed: list[str], compose: Compose) -> list[str]:
    """Return the overrides that compose what a run saved, without what is typed anew.

    They are those that started it and, where conf/ says something else today, one for each such key.

    Raises:
        UserError: They name code, hold a resolver, or are not plain.
    """
    now = [key(text) for text in typed]
    base = list(_started(run, now))
    raw = plain_keys(compose(base))
    base = [text for text in base if not is_output(key(text), raw)]
    return [*_moved_inputs(base, raw, run), *_drift(run, raw, now)]


def decided_precision(checkpoint: Path) -> str | None:
    """Return the precision that the run of a checkpoint has chosen for `auto`; None if there is no such run."""
    run = RunFolder.of_checkpoint(checkpoint)
    page = None if run is None else run.hydra / "config.yaml"
    content = read_yaml(page) if page and page.is_file() else {}
    trainer = content.get("trainer") if isinstance(content, Mapping) else None
    precision = trainer.get("precision") if isinstance(trainer, Mapping) else None
    return precision if precision in ("32-true", "bf16-mixed") else None


def _started(run: RunFolder, typed: Iterable[str]) -> Iterator[str]:
    """Yield the overrides that started a run, but those of typed keys, as far as they are data."""
    path = run.hydra / "overrides.yaml"
    texts = read_yaml(path) if path.is_file() else []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise UserError(f"{path} is not a list of overrides")
    for text in texts:
        name, value = key(text), text.partition("=")[2]
        group = name.split("/")[0]
        if within(group.split(".")[0], NOT_TAKEN) or within(name, typed):
            continue
        try:
            parsed = parse(text).value()
        except HydraException:  # a flag of Hydra's, for one
            parsed = name = ""
        if not name:
            raise UserError(f"{path} has {text!r}, which is no override")
        if ("_target_" in text and not _has_own_steps_only(text)) or re.search(r"\$\{[^}]*:", value):
            raise UserError(f"{path} has {text!r}, which is more than a plain value: type {name}= again to allow it")
        if ".." in name or (("/" in name or "." not in name) and re.search(r"(^|/)\.\.?(/|$)|^/", value)):
            raise UserError(f"{path} has {text!r}, which leaves the configuration")
        if _leads_elsewhere(name, parsed):
            raise UserError(f"{path} has {text!r}, which may send the run elsewhere: type {name}= again to allow it")
        yield f"{ALIASES.get(name, name)}={value}" if text[0] not in "+~" else text


def _has_own_steps_only(text: str) -> bool:
    """Tell whether an override is a list of steps of this project, with plain values."""
    try:
        value = parse(text).value()
        return key(text) == "augment.steps" and isinstance(value, list) and bool(value_text(value))
    except (HydraException, UserError):
        return False


def _moved_inputs(base: Iterable[str], raw: Mapping[str, Any], run: RunFolder) -> Iterator[str]:
    """Yield overrides whose relative paths mean the folder that the run was started in, if they mean nothing here."""
    file = run.hydra / "hydra.yaml"
    settings = read_yaml(file) if file.is_file() else {}
    try:
        started_in = Path(settings["hydra"]["runtime"]["cwd"])
    except (KeyError, TypeError):
        started_in = Path()
    inputs = marked(raw, Input)
    for text in base:
        name, value = key(text), text.partition("=")[2].strip("'\"")
        there = started_in / value
        if name in inputs and not Path(value).exists() and there.exists():
            yield f"{name}={quoted(str(there))}"
        else:
            yield text


def _drift(run: RunFolder, raw: Mapping[str, Any], typed: Iterable[str]) -> Iterator[str]:
    """Yield an override for each value that a run saved and that conf/ gives another value today."""
    path = run.hydra / "config.yaml"
    saved = read_yaml(path)
    if not isinstance(saved, Mapping):
        raise UserError(f"{path} is not the configuration of a run")
    then, now = {ALIASES.get(name, name): value for name, value in leaves(saved)}, dict(leaves(raw))
    skipped = (*NOT_TAKEN, *typed)
    for name, value in now.items():
        if name.rsplit(".", 1)[-1] in INSTANTIATE or within(name, skipped) or is_output(name, raw):
            continue
        if name in then and then[name] != value:
            try:
                if _leads_elsewhere(name, then[name]):
                    raise UserError(f"{then[name]!r} may send the run elsewhere")
                yield f"{name}={value_text(then[name])}"
            except UserError as error:
                raise UserError(f"{path}: {name}: {error}: type {name}= again to choose") from None


def _leads_elsewhere(name: str, value: object) -> bool:
    """Tell whether a value may say where a logger writes, or which server or account it sends to."""
    if not name.startswith("logger.") or isinstance(value, bool | int | float | None):
        return False
    is_name = isinstance(value, str) and re.fullmatch(r"[\w +-]*(\.[\w +-]+)*", value)
    return not (is_name and name.rsplit(".", 1)[-1] in LOGGER_NAMES)


def plain_keys(cfg: DictConfig) -> dict[str, Any]:
    """Return a composed configuration as plain containers, unresolved, without Hydra's own part."""
    container: dict[str, Any] = OmegaConf.to_container(cfg)  # type: ignore[assignment]
    return {name: value for name, value in container.items() if name != "hydra"}


class _PlainLoader(yaml.SafeLoader):
    """Reads plain values, and no aliases, with which a short file can hold a value of any size."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias")
        return super().compose_node(parent, index)


def read_yaml(path: Path) -> Any:
    """Read a file of plain values.

    Raises:
        UserError: It is not YAML, holds something else than plain values, or is too large.
    """
    try:
        loader = _PlainLoader(read_text(path, most=MAX_BYTES))
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path} is not plain YAML: {str(error).splitlines()[0]}") from None
