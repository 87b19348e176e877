"""Hydra's callback around a multirun: what must be so before it starts, the leaderboard when all jobs have ended."""

import logging
import shlex
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from pets import machine
from pets.console import path_text
from pets.evaluation.intervals import Interval
from pets.files import write_text
from pets.sweep import ranking
from pets.sweep.jobs import jobs_at_once
from pets.sweep.record import Job, read_jobs

log = logging.getLogger("pets")

NEEDS = {
    "hydra_plugins.pets_optuna_sweeper": ("optuna", 'pip install "pets[sweep]"'),
    "hydra_plugins.pets_ray_launcher": ("ray", 'pip install "pets[ray]"'),
}
"""Package of a plugin that conf/hydra names, the module it cannot do without, and the command that installs it."""


class Leaderboard(Callback):
    """Write leaderboard.csv and leaderboard.md into the sweep's folder and print the latter.

    The process ends with code 1 if a job has failed, with code 2 if the launcher or sweeper is not installed.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Stop if a plugin is missing; warn if the jobs ask for more cores than there are."""
        for group in ("launcher", "sweeper"):
            command = missing(config.hydra[group]._target_)
            if command:
                choice = config.hydra.runtime.choices[f"hydra/{group}"]
                print(f"error: hydra/{group}={choice} needs {command}", file=sys.stderr)
                sys.exit(2)
        warning = crowded(machine.available_cores(), jobs_at_once(config.hydra.launcher), config.data.num_workers)
        if warning:
            log.warning(warning)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Rank the jobs of the sweep's folder."""
        folder = Path(config.hydra.sweep.dir)
        jobs = read_jobs(folder)
        if not jobs:
            return
        from pets.sweep.luck import verdicts  # neither torch nor SciPy is needed to start a sweep

        told = verdicts(jobs, folder)
        text = ranking.markdown(jobs, told.marks, told.note)
        write_text(folder / "leaderboard.csv", ranking.as_csv(jobs, told.p))
        write_text(folder / "leaderboard.md", f"# Leaderboard\n\n{text}")
        print(f"\n{text}\nsweep folder: {path_text(folder)}")
        for path in (folder / "leaderboard.md", draw(jobs, folder)):
            if path is not None:
                print(f"  {path_text(path)}")
        print(f"  tensorboard --logdir {shlex.quote(path_text(folder))}")
        if any(job.error is not None for job in jobs):
            sys.exit(1)


def draw(jobs: Sequence[Job], folder: Path) -> Path | None:
    """Draw the error of the jobs that have one against what varied, as sweep.png; return its path."""
    measured = [job for job in jobs if job.error_rate is not None]
    keys = [key for key in ranking.varied(jobs) if key not in ranking.SEEDS] or ranking.varied(jobs)
    if not measured or not keys:
        return None
    # matplotlib is not needed to start a sweep
    from pets.evaluation.figures.style import write_figure
    from pets.evaluation.figures.sweep import sweep_figure

    errors: dict[str, list[Interval]] = {}
    for job in measured:
        said = ranking.settings(job)
        setting = ", ".join(ranking.short(said.get(key, "as is")) for key in keys)
        errors.setdefault(setting, []).extend([job.error_rate] if job.error_rate else [])
    write_figure(folder / "sweep.png", sweep_figure(errors, ", ".join(keys), measured[0].metric.split("/")[0]))
    return folder / "sweep.png"


def crowded(n_cores: int, n_jobs: int, num_workers: int | None) -> str | None:
    """Return a warning if jobs that run at once, each with its workers, have less than a core a process."""
    processes = n_jobs * ((num_workers or 0) + 1)
    if n_jobs == 1 or processes <= n_cores:
        return None
    return (
        f"{n_jobs} jobs at once x ({num_workers or 0} workers + 1) = {processes} processes on {n_cores} cores: lower "
        "hydra.launcher.n_jobs or data.num_workers"
    )


def missing(target: str) -> str | None:
    """Return the command that installs what the plugin class `target` needs, or None if it is there."""
    module, command = NEEDS.get(".".join(target.split(".")[:2]), ("pets", ""))
    return None if find_spec(module) else command
