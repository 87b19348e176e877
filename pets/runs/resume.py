"""Going on with a run: in its own folder, with the command that started it, and with nothing silently different."""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from pets.files import own_folder, read_text, refuse_links, write_text
from pets.rules import leaves

log = logging.getLogger("pets")

LAST = Path("checkpoints", "last.ckpt")
COMMAND = Path(".hydra", "overrides.yaml")
"""Where Hydra keeps what was typed, below the run folder."""
CONFIG = "config.yaml"
FIXED = ("seed", "model", "loss._target_", "optimizer._target_", "data.split", "data.labeller", "data.classes")
"""Keys that say what is trained on what: with another value it is another run."""
SPEED = ("model.compile",)
"""Keys of these groups that decide how fast, not what: they may be typed anew."""
FREE = ("model.weights", "data.split.from", "ckpt_path", "run_dir")
"""Keys without effect on a resumed run, although their groups have one."""


def arguments(argv: list[str]) -> list[str]:
    """Complete a command that names a run to go on with: `ckpt_path=<run folder>`, or `ckpt_path=last`.

    `last` is the run of `hydra.run.dir=<run folder>`, which starts now if it has saved nothing yet, so that a scheduler
    can repeat one command; or else the run below outputs/ that saved last. The command that started the run is taken up
    again; what is typed now wins over it.

    Raises:
        FileNotFoundError: There is no run to go on with.
        ValueError: Several runs are asked for at once, or the command of the run names code that is not typed now.
    """
    typed = {_key(text): text.partition("=")[2] for text in argv[1:] if "=" in text}
    value = _unquoted(typed.get("ckpt_path", ""))
    if typed.get("task", "fit") != "fit" or not (value == "last" or Path(value or "-").is_dir()):
        return argv
    if {"-m", "--multirun"} & set(argv):
        raise ValueError(f"ckpt_path={value} with --multirun: a sweep's runs are resumed one by one")
    named = Path(_unquoted(typed["hydra.run.dir"])) if "hydra.run.dir" in typed else None
    if value == "last" and named and not (named / LAST).is_file():
        log.warning("ckpt_path=last: %s has no checkpoint yet, the run starts", named)
        return [text for text in argv if _key(text) != "ckpt_path"]
    folder = _folder(value, named)
    refuse_links(folder)
    given = [text for text in argv[1:] if _key(text) not in ("ckpt_path", "hydra.run.dir")]
    started = [text for text in read_command(folder) if _key(text) not in {"ckpt_path", *map(_key, given)}]
    for text in started:
        if "_target_" in text or "searchpath" in text:
            raise ValueError(f"{folder / COMMAND} has {text!r}, which names code to run: type it again to allow it")
    # Hydra would write the folder's record of the command anew while it is not yet known whether the run can go on.
    own = [f"hydra.run.dir={_quoted(folder)}", f"ckpt_path={_quoted(folder / LAST)}", "hydra.output_subdir=null"]
    return [argv[0], *started, *given, *own]


def read_command(folder: Path) -> list[str]:
    """Return the overrides that started the run of a folder.

    Raises:
        ValueError: They are no list of texts.
    """
    path = folder / COMMAND
    command = (read_yaml(path) if path.is_file() else None) or []
    if not isinstance(command, list) or not all(isinstance(text, str) for text in command):
        raise ValueError(f"{path} is not a list of overrides")
    return command


def read_yaml(path: Path) -> Any:
    """Read a file of plain values.

    Raises:
        ValueError: It is not YAML, or holds something else than plain values.
    """
    try:
        return yaml.safe_load(read_text(path))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not plain YAML: {str(error).splitlines()[0]}") from error


def remember(folder: Path, command: Iterable[str]) -> None:
    """Keep what was typed, so that the next resume takes it up; the file is the old one or the new one."""
    path = folder / COMMAND
    own_folder(path.parent)
    write_text(path, yaml.safe_dump([text for text in command if _key(text) != "ckpt_path"]))


def check(cfg: DictConfig, command: Iterable[str]) -> None:
    """Check that a resumed run is the run that it resumes, except for what was typed now.

    Args:
        cfg: The composed configuration, whose `ckpt_path` lies in the folder of a run.
        command: The overrides that `cfg` was composed from.

    Raises:
        ValueError: Naming a key whose value differs, though it was not typed now or decides what is trained on what.
    """
    folder = Path(cfg.ckpt_path).parent.parent
    if not (folder / CONFIG).is_file():
        return
    saved = read_yaml(folder / CONFIG)
    if not isinstance(saved, Mapping):
        raise ValueError(f"{folder / CONFIG} is not the configuration of a run")
    already = set(read_command(folder))
    typed = [_key(text) for text in command if text not in already]
    changed = list(differences(saved, cfg))
    for key, was, now in changed:
        if _within(key, FIXED) and not _within(key, SPEED):
            raise ValueError(f"{key}={now} cannot be resumed: the run of {folder} has {key}={was}")
    for key, was, now in changed:
        if not _within(key, typed) and not any(name.split("/")[0] in ("experiment", "sweep") for name in typed):
            raise ValueError(
                f"{key}={now}, but the run of {folder} has {key}={was}: type {key}={was} or {key}={now} to choose"
            )
    if changed:
        log.warning("resumed with %s", ", ".join(f"{key}={now} instead of {was}" for key, was, now in changed))


def differences(saved: Mapping[str, Any], cfg: DictConfig) -> Iterator[tuple[str, Any, Any]]:
    """Yield (key, saved value, new value) of every value written in `cfg`; what only refers to another is left out."""
    written = dict(leaves(OmegaConf.to_container(cfg, resolve=False)))  # type: ignore[arg-type]
    referring = [key for key, value in written.items() if isinstance(value, str) and "${" in value]
    then = {key: value for key, value in leaves(saved) if not _within(key, referring)}
    now = {key: value for key, value in written.items() if not _within(key, referring)}
    for key in sorted(then.keys() | now.keys()):
        was, value = then.get(key, "(nothing)"), now.get(key, "(nothing)")
        if was != value and not _within(key, FREE):
            yield key, was, value


def _folder(value: str, named: Path | None) -> Path:
    if value != "last":
        folder = Path(value)
    elif named is not None:
        folder = named
    else:
        saved = sorted(Path("outputs").glob(f"**/{LAST.as_posix()}"), key=lambda path: path.stat().st_mtime)
        if not saved:
            raise FileNotFoundError(f"ckpt_path=last: no run below {Path('outputs').absolute()} has a checkpoint")
        folder = saved[-1].parent.parent
    if not (folder / LAST).is_file():
        raise FileNotFoundError(f"ckpt_path={folder}: the folder holds no {LAST.as_posix()}, so its run starts anew")
    return folder.absolute()


def _within(key: str, names: Iterable[str]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in names)


def _key(override: str) -> str:
    return re.sub(r"^[+~]*", "", override.partition("=")[0])


def _quoted(path: Path) -> str:
    """Return a path as a value of Hydra's grammar, whatever characters it has."""
    text = str(path).replace("'", "\\'")
    return f"'{text}'"


def _unquoted(value: str) -> str:
    return re.sub(r"^(['\"])(.*)\1$", r"\2", value)
