"""The record of a sweep's job, job.json in its folder: what it was asked to do and what came of it.

Hydra writes .hydra/overrides.yaml anew when a job starts, so that file cannot tell what an earlier job has done.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pets.errors import UserError
from pets.evaluation.intervals import Interval, wilson
from pets.files import read_text, write_text
from pets.runs.run_folder import RunFolder


@dataclass(frozen=True)
class Job:
    """One job of a sweep.

    Attributes:
        overrides: What the command line and the sweeper said, in their order.
        metric: Name of the optimized metric.
        value: Its value; None for a task without a metric and for a failed job.
        seconds: Wall-clock time of the job.
        error: One line on why the job failed; None for a finished one.
        name: Folder of the job, relative to the sweep's.
        error_rate: Error rate of the part that the metric is measured on, with its 95% interval.
        images: Number of images of that part.
    """

    overrides: tuple[str, ...]
    metric: str
    value: float | None
    seconds: float
    error: str | None = None
    name: str = ""
    error_rate: Interval | None = None
    images: int | None = None


def write_job(folder: Path, job: Job) -> None:
    """Write the record of a job that has ended."""
    keys = ("overrides", "metric", "value", "seconds", "error")
    write_text(RunFolder(folder).job, json.dumps({key: getattr(job, key) for key in keys}, indent=1) + "\n")


def read_job(folder: Path, name: str = "") -> Job | None:
    """Return the record of a job, with its error rate where it left metrics.json; None if no job has ended here.

    Raises:
        ValueError: job.json is not what `write_job` writes.
    """
    run = RunFolder(folder)
    path = run.job
    if not path.is_file():
        return None
    try:
        record: dict[str, Any] = json.loads(read_text(path))
        job = Job(**{**record, "overrides": tuple(record["overrides"])}, name=name)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UserError(f"{path}: not the record of a job ({error}); delete it to run the job again") from None
    if job.error is not None or not run.metrics.is_file():
        return job
    return _with_error_rate(job, json.loads(read_text(run.metrics)))


def read_jobs(sweep: Path) -> list[Job]:
    """Return the records of all jobs below the folder of a sweep, in the order of their numbers."""
    names = [path.parent.relative_to(sweep).as_posix() for path in sweep.rglob(RunFolder(sweep).job.name)]
    jobs = (read_job(sweep / name, name) for name in sorted(names, key=lambda name: (len(name), name)))
    return [job for job in jobs if job is not None]


def _with_error_rate(job: Job, metrics: dict[str, Any]) -> Job:
    part = job.metric.split("/")[0]
    rate, images = metrics.get(f"{part}/error_rate"), metrics.get("n", {}).get(part)
    if rate is None or not images:
        return job
    return replace(job, error_rate=wilson(round(rate * images), images), images=images)
