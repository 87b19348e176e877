"""What a command continues from a run: its checkpoint, and its saved configuration as overrides.

`ckpt_path=last`, `ckpt_path=<run folder>` and `ckpt_path=<file>` mean the same for every task. What is typed now is
laid on top of what the run saved.
"""

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from pets.errors import UserError
from pets.runs.overrides import OWN_STEPS, key, quoted, values, within
from pets.runs.run_folder import OUTPUTS, RunFolder
from pets.runs.saved import Compose, plain_keys, read_yaml, saved_command
from pets.settings.config import ALIASES, INSTANTIATE, leaves, targets

log = logging.getLogger("pets")

FIXED = ("seed", "model", "loss", "optimizer._target_", "data.split", "data.labeller", "data.classes")
"""Keys that say what is trained on what: with another value it is another run."""
FREE = ("model.weights", "model.compile", "model.grad_checkpointing", "data.split.from")
"""Keys among these without effect on what a resumed run computes."""


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
        again = [text for text in rest if "_target_" in text or "${" in text or key(text).startswith("logger.")]
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


def _check_code(cfg: DictConfig, typed: Iterable[str], trusted: Iterable[str], run: RunFolder) -> None:
    """Refuse a class that neither conf/ nor the command names."""
    allowed = {*trusted, *OWN_STEPS, *re.findall(r"[\w.]+", " ".join(text for text in typed if "_target_" in text))}
    for name, target in targets(plain_keys(cfg)):
        if target not in allowed:
            raise UserError(f"{run.path} names code to run, {name}={target}: type it again to allow it")


def _check_same_run(then: DictConfig, now: DictConfig, run: RunFolder) -> None:
    """Refuse what makes it another run; say what else differs, and which keys are newer than the run."""
    known = {ALIASES.get(name, name) for name, _ in leaves(read_yaml(run.hydra / "config.yaml"))}
    for name, value in leaves(plain_keys(now)):
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
    earlier, later = dict(leaves(plain_keys(then))), dict(leaves(plain_keys(now)))
    for name in sorted(earlier.keys() | later.keys()):
        if name in ("ckpt_path", "run_dir") or (name in earlier and name in later and earlier[name] == later[name]):
            continue  # the same reference, whose key is compared where it stands
        was, value = (
            _resolved(cfg, name) if name in texts else "(nothing)" for cfg, texts in ((then, earlier), (now, later))
        )
        if was != value:
            yield name, was, value


def _resolved(cfg: DictConfig, name: str) -> Any:
    value = OmegaConf.select(cfg, name)
    if OmegaConf.is_dict(value):
        return "another group"  # compared where it stands
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_list(value) else value
