"""From the command line to a task: complete and check the command, run it, and report errors in one line.

Before Hydra makes a folder, the command is completed by what a run saved, composed and checked. Torch and Lightning are
imported only when a checked configuration starts its task.
"""

import logging
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from pets.console import path_text
from pets.errors import UserError, advice, explain, is_user_error
from pets.machine import isolated, keep_freed_memory, quiet_lightning, sleep_while_waiting
from pets.private_api import hydra_flags
from pets.runs import resume
from pets.runs.compose import Conf, each_value
from pets.runs.overrides import as_typed, key, quoted
from pets.runs.run_folder import RunFolder, is_first_process
from pets.settings import config
from pets.settings.help import help_text
from pets.settings.parts import layer_group_names
from pets.sweep import jobs

log = logging.getLogger("pets")

NEEDS = {
    "evaluate": {"ckpt_path": "`last`, a checkpoint or the folder of a run"},
    "predict": {
        "ckpt_path": "`last`, a checkpoint, the folder of a run or an export",
        "source": "an image, a folder, a glob in quotes or a CSV file",
    },
    "serve": {"ckpt_path": "`last`, a checkpoint, the folder of a run or an export"},
    "export": {"ckpt_path": "`last`, a checkpoint or the folder of a run"},
}
"""Keys that a task cannot do without, and what they name."""


def prepare(argv: Sequence[str], held: ExitStack) -> list[str]:
    """Return the command line as Hydra is to see it: complete and checked.

    Args:
        argv: The command line of the process.
        held: Keeps the run folder, or that of the sweep, until it is closed.

    Raises:
        SystemExit: With code 2 and one line on stderr for a user's error; with code 0 after `--help`.
    """
    try:
        return _prepare(argv, held)
    except Exception as error:
        _refuse(error)


def _prepare(argv: Sequence[str], held: ExitStack) -> list[str]:
    for text in argv[1:]:
        if text in ("--help", "-h") or text.startswith("--help="):
            print(_help(text.partition("=")[2] or None), end="")
            sys.exit(0)
    flags = hydra_flags(argv[1:])
    typed = [as_typed(text, flags.multirun) for text in flags.overrides]
    others = _without(argv, flags.overrides)
    conf = Conf(flags.config_dir, flags.config_name)
    if flags.cfg and typed:  # what is typed may be wrong, and Hydra's own words for it fill a page
        conf.compose(typed, flags.multirun)
    if flags.cfg or flags.info or flags.hydra_help or flags.shell_completion:
        return [*others, *typed]
    command = resume.complete(
        typed, partial(conf.compose, multirun=flags.multirun), multirun=flags.multirun, trusted=conf.targets()
    )
    cfg = conf.compose(command, flags.multirun)
    check(cfg)
    config.check_inputs(cfg)
    for variant in each_value(command) if flags.multirun else ():
        check(conf.compose(variant, multirun=True))  # the last job's value is not to be refused hours after the start
    sweep = flags.multirun or cfg.hydra.mode == RunMode.MULTIRUN
    folder = RunFolder(cfg.hydra.sweep.dir if sweep else cfg.hydra.run.dir)
    if not sweep:
        _check_free(folder, cfg)
        if is_first_process():
            print(_announcement(cfg, folder), flush=True)
    own = "hydra.sweep.dir" if sweep else "hydra.run.dir"
    held.enter_context(folder.claimed(own))
    return [*others, *(text for text in command if key(text) != own), f"{own}={quoted(str(folder.path))}"]


def _without(argv: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """Return a command line without its overrides, which stand in it in their order."""
    left, kept = list(overrides), []
    for text in argv:
        if left and text == left[0]:
            left.pop(0)
        else:
            kept.append(text)
    return kept


def _help(group: str | None) -> str:
    conf = Conf()
    # Required values are shown as such.
    raw: dict[str, Any] = OmegaConf.to_container(conf.compose([]))  # type: ignore[assignment]
    return help_text({name: node for name, node in raw.items() if name != "hydra"}, conf.files(), group)


def check(cfg: DictConfig) -> None:
    """Check the values of a composed configuration and what its task needs, without torch.

    Raises:
        UserError: For the first key that is missing or wrong.
    """
    config.check(cfg)
    for name, what in NEEDS.get(cfg.task, {}).items():
        if cfg[name] is None:
            raise UserError(f"task={cfg.task} needs {name}=, {what}")
    if cfg.task == "learning_curve":
        _check_learning_curve(cfg)
    if cfg.recipe.get("_target_") == "pets.schedule.recipe.probe":
        _check_probe(cfg)
    if cfg.recipe.get("_target_") == "pets.schedule.recipe.one_cycle":
        from pets.schedule.recipe import one_cycle

        recipe: dict[str, Any] = OmegaConf.to_container(cfg.recipe, resolve=True)  # type: ignore[assignment]
        one_cycle(recipe["phases"]).check_groups(layer_group_names(cfg.model.groups))


def _check_probe(cfg: DictConfig) -> None:
    """Refuse what makes no sense of a fit without epochs."""
    if cfg.task == "find_lr" or (cfg.task == "fit" and cfg.lr_finder):
        raise UserError("recipe=probe has no learning rate to find: lr_finder=off, or another recipe")
    if cfg.task == "fit" and cfg.model.head.init == "random":
        raise UserError("model.head.init=random is not allowed: recipe=probe solves the head, with lda or logistic")
    if cfg.task == "fit" and cfg.loss._target_ == "pets.model.losses.OneVsRest":
        raise UserError("loss=one_vs_rest is not allowed: recipe=probe solves the head for cross entropy")


def _check_learning_curve(cfg: DictConfig) -> None:
    """Refuse a head that cannot be solved, and a body that has seen the images."""
    if cfg.model.head.init == "random":
        raise UserError("task=learning_curve solves a head for every number of images: add recipe=probe")
    if cfg.ckpt_path is not None:
        raise UserError(
            f"ckpt_path={cfg.ckpt_path}: task=learning_curve needs a body that has seen none of the images, so none"
        )


def _check_free(folder: RunFolder, cfg: DictConfig) -> None:
    """Refuse to write into the folder of a run, unless it is resumed."""
    resumed = cfg.task == "fit" and cfg.ckpt_path and RunFolder.of_checkpoint(Path(cfg.ckpt_path))
    if folder.holds_run() and not (resumed and resumed.path.resolve() == folder.path.resolve()):
        raise UserError(
            f"hydra.run.dir={folder.path} holds a run: ckpt_path={folder.path} resumes it, or choose another folder"
        )


def _announcement(cfg: DictConfig, folder: RunFolder) -> str:
    """Return the line that says what is about to run and on what it depends, printed before the slow imports."""
    if cfg.ckpt_path is not None:
        shown = [f"{name}={path_text(cfg[name])}" for name in ("ckpt_path", "source") if cfg[name] is not None]
    else:
        choices = cfg.hydra.runtime.choices
        groups = ("data",) if cfg.task == "check" else ("experiment", "data", "model", "recipe")
        shown = [*(f"{group}={choices[group]}" for group in groups if choices.get(group)), f"seed={cfg.seed}"]
    return f"{cfg.task}: {', '.join(shown)} -> {folder.path}"


def run(cfg: DictConfig) -> float | None:
    """Run the task of a composed configuration; in a sweep, as `pets.sweep.jobs` does.

    Returns:
        The value of `optimized_metric`, or None for a task that has no metric.

    Raises:
        SystemExit: With code 2 and one line on stderr for a user's error; HYDRA_FULL_ERROR=1 shows the traceback.
    """
    hydra = HydraConfig.get()
    os.chdir(hydra.runtime.cwd)  # paths mean the folder in which the command was typed, also on another machine
    try:
        if hydra.mode == RunMode.MULTIRUN:
            return jobs.run(cfg, _check_and_start)
        return _check_and_start(cfg)
    except Exception as error:
        _refuse(error)


def _refuse(error: Exception) -> NoReturn:
    """Leave with one line for an error that a person can mend; raise any other."""
    if not is_user_error(error) or os.environ.get("HYDRA_FULL_ERROR") == "1":
        raise error
    log.debug("stopped by an error", exc_info=error)
    print(f"error: {explain(error)}", file=sys.stderr)
    sys.exit(2)


def _check_and_start(cfg: DictConfig) -> float | None:
    """Check the configuration; then import the task's module, and with it torch and Lightning, and run it."""
    check(cfg)
    sleep_while_waiting()  # before torch
    if "find_unused_parameters" in str(cfg.trainer.strategy):
        # torch advises against it in every epoch without a frozen layer; it reads this when it is imported.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    keep_freed_memory()  # before the first tensor
    task = import_module(f"pets.tasks.{cfg.task}")
    from lightning.fabric.utilities.exceptions import MisconfigurationException
    from lightning.pytorch.utilities import rank_zero_only
    from lightning.pytorch.utilities.exceptions import SIGTERMException

    from pets import build

    if rank_zero_only.rank:  # type: ignore[attr-defined]
        log.setLevel(logging.WARNING)  # what the first process says is enough

    with isolated():
        quiet_lightning()
        build.locate_targets(cfg)
        try:
            metric: float | None = task.run(cfg)
        except MisconfigurationException as error:
            raise UserError(f"trainer: {error}") from error
        except (ValueError, RuntimeError, MemoryError) as error:
            if (says := advice(error)) is None:
                raise
            raise UserError(says) from error
        except SIGTERMException:
            _stop(cfg, signal.SIGTERM)
        except (SystemExit, KeyboardInterrupt) as error:
            # Lightning tidies up and turns the one into the other.
            if isinstance(error, SystemExit) and not isinstance(error.__context__, KeyboardInterrupt):
                raise
            _stop(cfg, signal.SIGINT)
    return metric


def _stop(cfg: DictConfig, by: signal.Signals) -> NoReturn:
    """Say how the run is resumed, and leave with the code by which shells and schedulers know the signal."""
    if RunFolder(cfg.run_dir).holds_run():
        command = f"python train.py {shlex.quote(f'ckpt_path={path_text(cfg.run_dir)}')}"
        log.info("stopped by %s; to resume:\n  %s", by.name, command)
    else:
        log.info("stopped by %s; there is no checkpoint yet", by.name)
    sys.exit(128 + by)
