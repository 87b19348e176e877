"""From the jobs of a sweep to its leaderboard: ranked rows, and mean and spread over seeds. Pure functions."""

import math
import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pets.files import csv_text
from pets.sweep.record import Job

SEEDS = ("seed", "data.seed", "data.split.seed")
"""Keys that repeat an experiment rather than change it."""


def settings(job: Job) -> dict[str, str]:
    """Return the overrides of a job as a mapping, without the `+` of added keys."""
    pairs = (override.lstrip("+").partition("=") for override in job.overrides)
    return {key: value for key, _, value in pairs}


def varied(jobs: Sequence[Job]) -> list[str]:
    """Return the keys that are not the same in all jobs, in the order in which they were given."""
    every = [settings(job) for job in jobs]
    keys = dict.fromkeys(key for each in every for key in each)
    return [key for key in keys if len({each.get(key) for each in every}) > 1]


def ranked(jobs: Iterable[Job], maximize: bool = False) -> list[Job]:
    """Return the jobs, best first, then those without a value, then the failed ones."""

    def rank(job: Job) -> tuple[bool, bool, float]:
        known = job.value is not None and not math.isnan(job.value)
        return job.error is not None, not known, (-1 if maximize else 1) * (job.value or 0.0) if known else 0.0

    return sorted(jobs, key=rank)


@dataclass(frozen=True)
class Repeats:
    """The finished jobs that differ in nothing but seeds.

    Attributes:
        jobs: The jobs, at least one.
        mean: Mean of the metric.
        sd: Sample standard deviation; None for a single job.
    """

    jobs: tuple[Job, ...]
    mean: float
    sd: float | None


def repeats(jobs: Iterable[Job], maximize: bool = False) -> list[Repeats]:
    """Group the finished jobs by everything but their seeds, the best mean first."""
    groups: dict[frozenset[tuple[str, str]], list[Job]] = {}
    for job in jobs:
        if job.error is None and job.value is not None:
            rest = frozenset((key, value) for key, value in settings(job).items() if key not in SEEDS)
            groups.setdefault(rest, []).append(job)
    found = []
    for group in groups.values():
        values = [job.value for job in group if job.value is not None]
        sd = statistics.stdev(values) if len(values) > 1 else None
        found.append(Repeats(tuple(group), statistics.fmean(values), sd))
    return sorted(found, key=lambda group: (math.isnan(group.mean), -group.mean if maximize else group.mean))


def markdown(jobs: Sequence[Job], maximize: bool = False) -> str:
    """Return the leaderboard as Markdown that also reads well on a console.

    Args:
        jobs: At least one job.
        maximize: Whether a higher metric is better.
    """
    keys = varied(jobs)
    alike = [override for override in jobs[0].overrides if override.lstrip("+").partition("=")[0] not in keys]
    failed = sum(job.error is not None for job in jobs)
    lines = [
        f"{len(jobs)} jobs" + (f", {failed} failed" if failed else "")
        + f"; {jobs[0].metric}, the {'highest' if maximize else 'lowest'} first; intervals are Wilson's, 95%"
    ]  # fmt: skip
    if alike:
        lines.append(f"All jobs: `{' '.join(alike)}`")
    groups = repeats(jobs, maximize)
    if any(group.sd is not None for group in groups):
        lines += ["", _seeds_table(groups, [key for key in keys if key not in SEEDS], jobs[0].metric)]
    return "\n".join([*lines, "", _jobs_table(ranked(jobs, maximize), keys)]) + "\n"


def _seeds_table(groups: Sequence[Repeats], keys: Sequence[str], metric: str) -> str:
    """Return the table of means: one row for the jobs that differ only in seeds."""
    rows = []
    for group in groups:
        said = settings(group.jobs[0])
        seconds = statistics.fmean(job.seconds for job in group.jobs)
        spread = "" if group.sd is None else f"{group.sd:.4f}"
        row = [*(short(said.get(key, "")) for key in keys), f"{group.mean:.4f}", spread, str(len(group.jobs))]
        rows.append([*row, duration(seconds)])
    return _table([*keys, f"{metric}, mean", "sd", "n", "time, mean"], rows)


def _jobs_table(jobs: Sequence[Job], keys: Sequence[str]) -> str:
    """Return the table of jobs; what failed says why."""
    is_error_rate = jobs[0].metric.endswith("/error_rate")
    failed = any(job.error is not None for job in jobs)
    rows = []
    for job in jobs:
        said, rate = settings(job), job.error_rate
        value = "failed" if job.error is not None else "" if job.value is None else f"{job.value:.4f}"
        interval = f"{rate.low:.3f} to {rate.high:.3f}, n={job.images}" if rate else ""
        error = [] if is_error_rate else [f"{rate.value:.4f}" if rate else ""]
        why = [job.error or ""] if failed else []
        rows.append(
            [
                job.name,
                *(short(said.get(key, "")) for key in keys),
                value,
                *error,
                interval,
                duration(job.seconds),
                *why,
            ]
        )
    header = [
        jobs[0].metric,
        *([] if is_error_rate else ["error rate"]),
        "interval",
        "time",
        *(["why"] if failed else []),
    ]
    return _table(["job", *keys, *header], rows)


def as_csv(jobs: Sequence[Job], maximize: bool = False) -> str:
    """Return the ranked jobs as CSV: one row a job, with mean, sd and number of its repeats."""
    keys = varied(jobs)
    of_job = {job.name: group for group in repeats(jobs, maximize) for job in group.jobs}
    numbers = ("error_rate", "low", "high", "images", "seconds", "mean", "sd", "n", "error")
    rows: list[list[object]] = [["job", *keys, jobs[0].metric, *numbers]]
    for job in ranked(jobs, maximize):
        said, group = settings(job), of_job.get(job.name)
        rate = list(job.error_rate or [None] * 3)
        spread = [group.mean, group.sd, len(group.jobs)] if group else [None] * 3
        row = [job.name, *(said.get(key) for key in keys), job.value, *rate, job.images, job.seconds, *spread]
        rows.append([*row, job.error])
    return csv_text(rows)


def short(value: str) -> str:
    """Return a value as it is, but a long number with four digits; the CSV file has them all."""
    return f"{float(value):.4g}" if re.fullmatch(r"-?\d+\.\d{5,}(e[+-]?\d+)?", value) else value


def duration(seconds: float) -> str:
    """Return a duration to two digits or more."""
    if seconds < 100:
        return f"{seconds:.{int(seconds < 10)}f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose columns are aligned."""
    cells = [list(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    lines.insert(1, "-|-".join("-" * width for width in widths))
    return "\n".join(f"| {line} |" if number != 1 else f"|-{line}-|" for number, line in enumerate(lines))
