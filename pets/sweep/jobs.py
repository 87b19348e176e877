"""A job of a sweep: done once, given its share of the machine; when it fails, the others continue."""

import logging
import math
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Callable

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from pets import machine
from pets.errors import UserError, explain, is_user_error
from pets.runs.overrides import typed
from pets.runs.run_folder import RunFolder, is_first_process
from pets.sweep.record import Job, read_job, write_job

log = logging.getLogger("pets")


def run(cfg: DictConfig, task: Callable[[DictConfig], float | None]) -> float | None:
    """Run one job of a sweep, unless its folder holds the result of the same overrides, and leave its record.

    A job that was interrupted is resumed from its last checkpoint.

    Args:
        cfg: The job's configuration.
        task: Runs a configuration and returns its optimized metric, or None.

    Returns:
        The metric, now measured or read; NaN if the task raised an error.

    Raises:
        UserError: The folder holds the result of other overrides, or another process works in it.
    """
    run = RunFolder(HydraConfig.get().runtime.output_dir)
    with run.claimed():
        return _run(cfg, task, run)


def _run(cfg: DictConfig, task: Callable[[DictConfig], float | None], run: RunFolder) -> float | None:
    hydra, overrides = HydraConfig.get(), tuple(typed())
    earlier = read_job(run.path)
    if earlier and earlier.error is None:
        if earlier.overrides != overrides:
            raise UserError(
                f"{run.path} holds the result of `{' '.join(earlier.overrides)}`: repeat that sweep, or choose another "
                "hydra.sweep.dir"
            )
        log.info(f"read, not run: {run.path}")
        return earlier.value
    _take_up(cfg, run, failed=earlier is not None)
    started = time.perf_counter()
    value = problem = None
    try:
        _refuse_processes(cfg)
        _share_cores(cfg, hydra.launcher)
        _let_loaders_start_workers()
        value = task(cfg)
    except Exception as error:
        problem = explain(error) if is_user_error(error) else f"{type(error).__name__}: {explain(error)}"
        _report(error, f"job {hydra.job.num}: {problem}")
    if is_first_process():
        seconds = round(time.perf_counter() - started, 1)
        write_job(run.path, Job(overrides, cfg.optimized_metric, value, seconds, problem))
    return math.nan if problem else value


def jobs_at_once(launcher: DictConfig) -> int:
    """Return how many jobs a launcher runs on this machine at the same time."""
    jobs: int = launcher.get("n_jobs") or 1
    # As joblib counts: -1 is one a core, -2 leaves a core free.
    return jobs if jobs > 0 else max(1, machine.available_cores() + 1 + jobs)


def workers_per_job(n_cores: int, n_jobs: int) -> int:
    """Return the loader's workers of each of `n_jobs` jobs, whose main processes take a core each as well."""
    return min(machine.MAX_WORKERS, max(0, n_cores // n_jobs - 1))


def _share_cores(cfg: DictConfig, launcher: DictConfig) -> None:
    """Choose the number of workers where nobody has, if the machine runs other jobs too."""
    jobs = jobs_at_once(launcher)
    if jobs > 1 and cfg.data.num_workers is None:
        cfg.data.num_workers = workers_per_job(machine.available_cores(), jobs)


def _let_loaders_start_workers() -> None:
    """Start processes in the platform's way: joblib's, the default inside its jobs, starts none but its own."""
    if multiprocessing.get_start_method(allow_none=True) == "loky":
        multiprocessing.set_start_method(multiprocessing.get_all_start_methods()[0], force=True)


def _refuse_processes(cfg: DictConfig) -> None:
    """Refuse the ways to several processes that a sweep cannot take.

    Lightning starts the others by the command line, which with -m is the whole sweep, or forks them, which hangs once
    torch has computed in this process.
    """
    devices, strategy = OmegaConf.to_container(cfg.trainer)["devices"], str(cfg.trainer.strategy)  # type: ignore
    one = devices == 1 or (isinstance(devices, list) and len(devices) == 1)
    if not (one or "spawn" in strategy or int(os.environ.get("SLURM_NTASKS", "1")) > 1):
        raise UserError(
            f"trainer.devices={devices} with trainer.strategy={strategy} in a sweep: every process would start "
            "the sweep again; use hydra/launcher=slurm, or trainer.strategy=ddp_spawn_find_unused_parameters_true"
        )


def _take_up(cfg: DictConfig, run: RunFolder, failed: bool) -> None:
    """Resume a job that was interrupted; start one anew that failed or came to no checkpoint."""
    if run.holds_run() and not failed and cfg.task == "fit" and cfg.ckpt_path is None:
        cfg.ckpt_path = str(run.last)
        return
    shutil.rmtree(run.checkpoints, ignore_errors=True)
    run.forget_attempt()


def _report(error: Exception, line: str) -> None:
    if is_user_error(error) and os.environ.get("HYDRA_FULL_ERROR") != "1":
        log.debug("stopped by an error", exc_info=error)
        print(f"error: {line}", file=sys.stderr)
    else:
        log.error(line, exc_info=error)
