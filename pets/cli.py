"""From a composed configuration to a task, with errors for the person who typed the command.

Torch and Lightning are imported only when a checked configuration starts its task.
"""

import logging
import os
import re
import signal
import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate, to_absolute_path
from omegaconf import DictConfig, OmegaConf

from pets import rules
from pets.errors import USER_ERRORS, advice, explain
from pets.runs import resume
from pets.sweep import jobs

log = logging.getLogger("pets")

PATHS = (
    "ckpt_path",
    "source",
    "data.root",
    "data.source.path",
    "data.split.from",
    "data.exclude",
    "data.relabel",
    "check.predictions",
    "predict.root",
    "export.folder",
    "export.metrics",
    "model.weights",
)
"""Keys whose values are paths relative to the folder in which the command was typed."""
NAME_OR_PATH = ("model.weights",)


def run(cfg: DictConfig) -> float | None:
    """Check `cfg` and run its task; in a sweep, as `pets.sweep.jobs` does.

    Returns:
        The value of `optimized_metric`, or None for a task that has no metric.

    Raises:
        SystemExit: With code 2 and one line on stderr for a user's error; HYDRA_FULL_ERROR=1 shows the traceback.
    """
    try:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            return jobs.run(cfg, _check_and_start)
        return _check_and_start(cfg)
    except USER_ERRORS as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        log.debug("stopped by an error", exc_info=True)
        print(f"error: {explain(error)}", file=sys.stderr)
        sys.exit(2)


def check(cfg: DictConfig) -> None:
    """Check the values, then build the parts that need no torch, so that they can check themselves.

    Raises:
        ValueError: For the first key that is missing or wrong.
    """
    rules.check(cfg)
    for node in (cfg.recipe, cfg.data.labeller, cfg.data.split):
        if "_target_" in node and "root" not in node:
            instantiate(node)


def arguments(argv: list[str]) -> list[str]:
    """Return the command line with `~` expanded and, if it resumes a run, with the command that started that run.

    Raises:
        SystemExit: With code 2 and one line on stderr if there is no such run.
    """
    try:
        return resume.arguments(expand_home(argv))
    except USER_ERRORS as error:
        print(f"error: {explain(error)}", file=sys.stderr)
        sys.exit(2)


def expand_home(arguments: list[str]) -> list[str]:
    """Expand `~` after a `=`, which neither the shell nor Hydra does, in `data.root=~/photos`."""
    return [re.sub(r"^([^=]+=)~(?=/|$)", lambda match: match[1] + str(Path.home()), text) for text in arguments]


def _resolve_paths(cfg: DictConfig) -> None:
    """Make paths absolute, so that they mean the folder the command was typed in, wherever the run works."""
    for key in PATHS:
        path = OmegaConf.select(cfg, key)
        absolute = path and to_absolute_path(str(Path(path).expanduser()))
        if absolute and (key not in NAME_OR_PATH or Path(absolute).exists()):
            OmegaConf.update(cfg, key, absolute)


def _check_and_start(cfg: DictConfig) -> float | None:
    check(cfg)
    _resolve_paths(cfg)
    if cfg.task == "fit" and cfg.ckpt_path:
        resume.check(cfg, HydraConfig.get().overrides.task)
    return _start(cfg)


def _start(cfg: DictConfig) -> float | None:
    """Import the task's module, and with it torch and Lightning, and run it."""
    # OpenMP threads that spin while they wait take the cores from the loader's workers: several times slower on two.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    task = import_module(f"pets.tasks.{cfg.task}")
    from lightning.fabric.utilities.exceptions import MisconfigurationException
    from lightning.pytorch.utilities import rank_zero_only
    from lightning.pytorch.utilities.exceptions import SIGTERMException

    from pets.machine import isolated

    if rank_zero_only.rank:  # type: ignore[attr-defined]
        log.setLevel(logging.WARNING)  # what the first process says is enough

    with isolated():
        _quiet_lightning()
        try:
            metric: float | None = task.run(cfg)
        except MisconfigurationException as error:
            raise ValueError(f"trainer: {error}") from error
        except (ValueError, RuntimeError, MemoryError) as error:
            if (says := advice(error)) is None:
                raise
            raise ValueError(says) from error
        except SIGTERMException:
            _stop(cfg, signal.SIGTERM)
        except (SystemExit, KeyboardInterrupt) as error:
            # Lightning tidies up and turns the one into the other.
            if isinstance(error, SystemExit) and not isinstance(error.__context__, KeyboardInterrupt):
                raise
            _stop(cfg, signal.SIGINT)
    return metric


def _stop(cfg: DictConfig, by: signal.Signals) -> NoReturn:
    """Say how the run goes on, and leave with the code by which shells and schedulers know the signal."""
    saved = (Path(cfg.run_dir) / resume.LAST).is_file()
    how = f"python train.py ckpt_path={cfg.run_dir} goes on" if saved else "there is no checkpoint yet"
    log.info("stopped by %s; %s", by.name, how)
    sys.exit(128 + by)


def _quiet_lightning() -> None:
    """Keep Lightning's news of devices and services off the console; warnings stay, as one line each."""
    warnings.showwarning = lambda message, *_: log.warning("warning: %s", " ".join(str(message).split()))
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    # Lightning 2.6.6 calls what torch 2.14 deprecates; nothing a user could do about it.
    warnings.filterwarnings("ignore", "`isinstance.treespec, LeafSpec.` is deprecated", FutureWarning)
    # The numbers of workers and of logged steps are chosen in conf/, for small sets too.
    warnings.filterwarnings("ignore", ".*does not have many workers", UserWarning)
    # It can: the sampler leaves out the images that had their turn.
    warnings.filterwarnings("ignore", "You're resuming from a checkpoint that ended before", UserWarning)
    # Where SLURM is installed, training at the prompt is no mistake.
    warnings.filterwarnings("ignore", "The `srun` command is available", UserWarning)
    warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty", UserWarning)
    warnings.filterwarnings("ignore", "The number of training batches .* is smaller than the logging", UserWarning)
