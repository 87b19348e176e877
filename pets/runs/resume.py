"""What a command takes up from a run: its checkpoint, and the configuration that it saved, as overrides.

`ckpt_path=last`, `ckpt_path=<run folder>` and `ckpt_path=<file>` mean the same for every task. What is typed now is
laid on top of what the run saved. A run folder may be anybody's: of its words only plain values, keys and the names of
the project's own files are taken, no resolver runs on them, and none of them says where something is written.
"""

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from pets.errors import UserError
from pets.files import own_folder, read_text, write_text
from pets.runs.overrides import key, quoted, value_text, values, within
from pets.runs.run_folder import OUTPUTS, RunFolder
from pets.settings.config import ALIASES, INSTANTIATE, is_output, leaves, marked
from pets.settings.declare import Input

log = logging.getLogger("pets")

FIXED = ("seed", "model", "loss", "optimizer._target_", "data.split", "data.labeller", "data.classes")
"""Keys that say what is trained on what: with another value it is another run."""
FREE = ("model.weights", "model.compile", "data.split.from")
"""Keys among these without effect on what a resumed run computes."""
NOT_TAKEN = ("ckpt_path", "source", "task", "run_dir", "sweep", "debug", "hydra")
"""Keys that belong to one command, not to the run."""
MAX_BYTES = 2**20
"""Of a file in `.hydra`."""

Compose = Callable[[list[str]], DictConfig]


@dataclass(frozen=True)
class Found:
    """What `ckpt_path` names."""

    checkpoint: Path
    """The file, or an exported folder."""
    run: RunFolder | None
    """The run that it belongs to; None for a file or exported folder by itself."""
    in_place: bool
    """Whether the run itself was named: a fit then continues in its folder."""


def find(value: str | Path, key: str = "ckpt_path") -> Found:
    """Return what `last`, a run folder, a checkpoint or an exported folder means.

    Raises:
        FileNotFoundError: There is no such thing, or no checkpoint in it.
    """
    if value == "last":
        run = RunFolder.latest()
        if run is None:
            raise FileNotFoundError(f"{key}=last: no run below {OUTPUTS.absolute()} has a checkpoint")
        return Found(run.last.absolute(), RunFolder(run.path.absolute()), True)
    path = Path(value).absolute()
    if not path.exists():
        raise FileNotFoundError(f"{key}={value}: no such file or folder")
    if path.is_dir():
        run = RunFolder(path)
        if run.holds_run():
            return Found(run.last, run, True)
        if (path / "model.json").exists():
            return Found(path, None, False)
        raise FileNotFoundError(f"{key}={value}: the folder holds no {run.last.relative_to(path)}")
    return Found(path, RunFolder.of_checkpoint(path), False)


def complete(typed: list[str], compose: Compose, *, multirun: bool = False, trusted: Iterable[str] = ()) -> list[str]:
    """Return a command that takes up a run, complete: what the run saved, then what is typed, then the run's folder.

    Args:
        typed: The overrides of the command line.
        compose: Composes overrides.
        multirun: Whether the command is a sweep.
        trusted: Classes that conf/ names as a `_target_`.

    Raises:
        FileNotFoundError: `ckpt_path` names nothing.
        UserError: The run cannot be taken up like this.
    """
    given = values(typed)
    task, value = given.get("task", "fit"), given.get("ckpt_path")
    if task == "check" and value is None and given.get("check.predictions") is not None:
        return _with_predictions(typed, given["check.predictions"], compose, trusted)
    if value is None:
        return typed
    if task == "fit" and multirun:
        raise UserError(f"ckpt_path={value} with --multirun: the runs of a sweep are resumed one by one")
    named = given.get("hydra.run.dir")
    if task == "fit" and value == "last" and named is not None:
        value = named
        if not RunFolder(named).holds_run():
            log.warning("ckpt_path=last: %s has no checkpoint yet, the run starts", named)
            return [text for text in typed if key(text) != "ckpt_path"]
    found = find(value)
    rest = [text for text in typed if key(text) != "ckpt_path"]
    own = [f"ckpt_path={quoted(str(found.checkpoint))}"]
    if found.run is None or not (found.run.hydra / "config.yaml").is_file():
        if task == "fit":
            raise UserError(
                f"ckpt_path={value}: no run folder with a saved configuration, so there is nothing to resume"
            )
        return [*rest, *own]
    if task == "fit" and found.in_place:
        rest = [text for text in rest if key(text) != "hydra.run.dir"]
        own.append(f"hydra.run.dir={quoted(str(found.run.path))}")
    base = saved_command(found.run, rest, compose)
    command = [*base, *rest, *own]
    now = compose(command)
    _check_code(now, rest, trusted, found.run)
    if task == "fit":
        # What is more than a plain value has to be typed again, so it is part of the run as it was.
        again = [text for text in rest if "_target_" in text or "${" in text]
        _check_same_run(compose([*saved_command(found.run, again, compose), *again]), now, found.run)
    return command


def _with_predictions(typed: list[str], value: str, compose: Compose, trusted: Iterable[str]) -> list[str]:
    """Take up the run whose predictions `task=check` looks at."""
    folder = find(value, "check.predictions").run if value == "last" else RunFolder(Path(value).absolute())
    if folder is None or not folder.path.is_dir():
        raise FileNotFoundError(f"check.predictions={value}: no such folder")
    if (folder.path / "predictions.npz").is_file():  # the folder of a part
        part, folder = folder.path, RunFolder(folder.path.parent)
    else:
        part = next(
            (folder.part(name) for name in ("valid", "test", "train") if folder.part(name).is_dir()), folder.path
        )
    rest = [text for text in typed if key(text) != "check.predictions"]
    base = saved_command(folder, rest, compose) if (folder.hydra / "config.yaml").is_file() else []
    command = [*base, *rest, f"check.predictions={quoted(str(part))}"]
    _check_code(compose(command), rest, trusted, folder)
    return command


def saved_command(run: RunFolder, typed: list[str], compose: Compose) -> list[str]:
    """Return the overrides that compose what a run saved, without what is typed anew.

    They are those that started it and, where conf/ says something else today, one for each such key.

    Raises:
        UserError: They name code, hold a resolver, or are not plain.
    """
    now = [key(text) for text in typed]
    base = [text for text in _started(run) if not within(key(text), now)]
    raw = _raw(compose(base))
    base = [text for text in base if not is_output(key(text), raw)]
    return [*_moved_inputs(base, raw, run), *_drift(run, raw, now)]


def _started(run: RunFolder) -> Iterator[str]:
    """Yield the overrides that started a run, as far as they are data."""
    path = run.hydra / "overrides.yaml"
    texts = read_yaml(path) if path.is_file() else []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise UserError(f"{path} is not a list of overrides")
    for text in texts:
        name = key(text)
        group, value = name.split("/")[0], text.partition("=")[2]
        if within(group.split(".")[0], NOT_TAKEN):
            continue
        if "_target_" in text or re.search(r"\$\{[^}]*:", value):
            raise UserError(f"{path} has {text!r}, which is more than a plain value: type {name}= again to allow it")
        if ".." in name or (("/" in name or "." not in name) and re.search(r"(^|/)\.\.?(/|$)|^/", value)):
            raise UserError(f"{path} has {text!r}, which leaves the configuration")
        yield f"{ALIASES.get(name, name)}={value}" if text[0] not in "+~" else text


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
                yield f"{name}={value_text(then[name])}"
            except UserError as error:
                raise UserError(f"{path}: {name}: {error}: type {name}= again to choose") from None


def _check_code(cfg: DictConfig, typed: Iterable[str], trusted: Iterable[str], run: RunFolder) -> None:
    """Refuse a class that neither conf/ nor the command names."""
    known, text = set(trusted), " ".join(typed)
    for name, target in leaves(_raw(cfg)):
        if name.endswith("_target_") and target not in known and str(target) not in text:
            raise UserError(f"{run.path} names code to run, {name}={target}: type it again to allow it")


def _check_same_run(then: DictConfig, now: DictConfig, run: RunFolder) -> None:
    """Refuse what makes it another run; say what else differs, and which keys are newer than the run."""
    known = {ALIASES.get(name, name) for name, _ in leaves(read_yaml(run.hydra / "config.yaml"))}
    for name, value in leaves(_raw(now)):
        if name not in known and name.rsplit(".", 1)[-1] not in INSTANTIATE:
            log.warning("the run of %s knew no %s: it is %s", run.path, name, value)
    changed = []
    for name, was, value in differences(then, now):
        if within(name, FIXED) and not within(name, FREE):
            raise UserError(f"{name}={value} cannot be resumed: the run of {run.path} has {name}={was}")
        changed.append(f"{name}={value} instead of {was}")
    if changed:
        log.warning("resumed with %s", ", ".join(changed))


def differences(then: DictConfig, now: DictConfig) -> Iterator[tuple[str, Any, Any]]:
    """Yield (key, earlier value, value now) of every value that differs, both resolved."""
    earlier, later = dict(leaves(_raw(then))), dict(leaves(_raw(now)))
    for name in sorted(earlier.keys() | later.keys()):
        if name in ("ckpt_path", "run_dir") or earlier.get(name, _raw) == later.get(name, _raw):
            continue  # the same reference, whose key is compared where it stands
        was, value = (
            _resolved(cfg, name) if name in texts else "(nothing)" for cfg, texts in ((then, earlier), (now, later))
        )
        if was != value:
            yield name, was, value


def _raw(cfg: DictConfig) -> dict[str, Any]:
    container: dict[str, Any] = OmegaConf.to_container(cfg)  # type: ignore[assignment]
    return {name: value for name, value in container.items() if name != "hydra"}


def _resolved(cfg: DictConfig, name: str) -> Any:
    value = OmegaConf.select(cfg, name)
    if OmegaConf.is_dict(value):
        return "another group"  # compared where it stands
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_list(value) else value


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
