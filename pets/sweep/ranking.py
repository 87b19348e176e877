"""From the jobs of a sweep to its leaderboard: ranked rows, and mean and spread over seeds. Pure functions."""

import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, TypeVar

from pets.evaluation.intervals import Spread, spread
from pets.files import csv_text
from pets.settings.metrics import direction
from pets.sweep.record import Job

SEEDS = ("seed", "data.seed", "data.split.seed", "data.split.fold")
"""Keys that repeat an experiment rather than change it."""


BESIDE = "beside the best"
"""The column that says which rows are worse than the best by more than luck."""


class _Run(Protocol):
    @property
    def overrides(self) -> tuple[str, ...]: ...


Run = TypeVar("Run", bound=_Run)


def settings(run: _Run) -> dict[str, str]:
    """Return the overrides of a run as a mapping, without the `+` of added keys."""
    pairs = (override.lstrip("+").partition("=") for override in run.overrides)
    return {key: value for key, _, value in pairs}


def varied(jobs: Sequence[Job]) -> list[str]:
    """Return the keys that are not the same in all jobs, in the order in which they were given."""
    every = [settings(job) for job in jobs]
    keys = dict.fromkeys(key for each in every for key in each)
    return [key for key in keys if len({each.get(key) for each in every}) > 1]


def experiments(runs: Iterable[Run]) -> list[list[Run]]:
    """Group the runs that differ in nothing but seeds."""
    groups: dict[frozenset[tuple[str, str]], list[Run]] = {}
    for run in runs:
        rest = frozenset((key, value) for key, value in settings(run).items() if key not in SEEDS)
        groups.setdefault(rest, []).append(run)
    return list(groups.values())


def ranked(jobs: Iterable[Job]) -> list[Job]:
    """Return the jobs, the best value of their metric first, then those without a value, then the failed ones."""

    def rank(job: Job) -> tuple[bool, bool, float]:
        known = job.value is not None and not math.isnan(job.value)
        return job.error is not None, not known, _cost(job.value or 0.0, job.metric) if known else 0.0

    return sorted(jobs, key=rank)


def _cost(value: float, metric: str) -> float:
    """Return what is lower for a better value."""
    return value if direction(metric) == "min" else -value


@dataclass(frozen=True)
class Repeats:
    """The finished jobs that differ in nothing but seeds, at least one, and their metric."""

    jobs: tuple[Job, ...]
    value: Spread


def repeats(jobs: Iterable[Job]) -> list[Repeats]:
    """Group the finished jobs by everything but their seeds, the best mean first."""
    finished = [job for job in jobs if job.error is None and job.value is not None]
    found = [
        Repeats(tuple(group), spread([job.value for job in group if job.value is not None]))
        for group in experiments(finished)
    ]
    return sorted(
        found, key=lambda group: (math.isnan(group.value.mean), _cost(group.value.mean, group.jobs[0].metric))
    )


def markdown(jobs: Sequence[Job], marks: Mapping[str, str] = MappingProxyType({}), note: str = "") -> str:
    """Return the leaderboard of at least one job as Markdown that also reads well on a console.

    Why a job failed stands in a numbered note below the table.

    Args:
        jobs: The jobs of a sweep.
        marks: By name of a row's first job: how the row compares with the best one; empty for no such column.
        note: Sentences below the tables.
    """
    keys, metric = varied(jobs), jobs[0].metric
    alike = [override for override in jobs[0].overrides if override.lstrip("+").partition("=")[0] not in keys]
    failed = [job for job in ranked(jobs) if job.error is not None]
    first = "lowest" if direction(metric) == "min" else "highest"
    lines = [
        f"{len(jobs)} jobs" + (f", {len(failed)} failed" if failed else "")
        + f"; {metric}, the {first} first; intervals are Wilson's, 95%"
    ]  # fmt: skip
    if alike:
        lines.append(f"All jobs: `{' '.join(alike)}`")
    groups = repeats(jobs)
    repeated = any(group.value.sd is not None for group in groups)
    if repeated:
        lines += ["", _seeds_table(groups, [key for key in keys if key not in SEEDS], metric, marks)]
    lines += ["", _jobs_table(ranked(jobs), keys, {} if repeated else marks)]
    if note:
        lines += ["", note]
    if failed:
        lines += ["", *(f"{number}. {job.name}: {job.error}" for number, job in enumerate(failed, start=1))]
    return "\n".join(lines) + "\n"


def _seeds_table(groups: Sequence[Repeats], keys: Sequence[str], metric: str, marks: Mapping[str, str]) -> str:
    """Return the table of means: one row for the jobs that differ only in seeds."""
    rows = []
    for group in groups:
        said, value = settings(group.jobs[0]), group.value
        seconds = statistics.fmean(job.seconds for job in group.jobs)
        sd = "" if value.sd is None else f"{value.sd:.4f}"
        row = [*(short(said.get(key, "")) for key in keys), f"{value.mean:.4f}", sd, str(value.n)]
        mark = next((marks[job.name] for job in group.jobs if job.name in marks), "")
        rows.append([*row, *[mark] * bool(marks), duration(seconds)])
    return table([*keys, f"{metric}, mean", "sd", "n", *[BESIDE] * bool(marks), "time, mean"], rows)


def _jobs_table(jobs: Sequence[Job], keys: Sequence[str], marks: Mapping[str, str]) -> str:
    """Return the table of jobs; a failed one has the number of its note."""
    is_error_rate = jobs[0].metric.endswith("/error_rate")
    rows, notes = [], 0
    for job in jobs:
        said, rate = settings(job), job.error_rate
        value = "" if job.value is None else f"{job.value:.4f}"
        if job.error is not None:
            notes += 1
            value = f"failed [{notes}]"
        error = [] if is_error_rate else [f"{rate.value:.4f}" if rate else ""]
        interval = f"{rate.low:.3f} to {rate.high:.3f}, n={job.images}" if rate else ""
        varying = (short(said.get(key, "")) for key in keys)
        mark = [marks.get(job.name, "")] * bool(marks)
        rows.append([job.name, *varying, value, *error, interval, *mark, duration(job.seconds)])
    error = [] if is_error_rate else ["error rate"]
    return table(["job", *keys, jobs[0].metric, *error, "interval", *[BESIDE] * bool(marks), "time"], rows)


def as_csv(jobs: Sequence[Job], p: Mapping[str, float] = MappingProxyType({})) -> str:
    """Return the ranked jobs as CSV: one row a job, with mean, sd and number of its repeats, and p by name of a job."""
    keys = varied(jobs)
    of_job = {job.name: group.value for group in repeats(jobs) for job in group.jobs}
    numbers = ("error_rate", "low", "high", "images", "seconds", "mean", "sd", "n", "p_best", "error")
    rows: list[list[object]] = [["job", *keys, jobs[0].metric, *numbers]]
    for job in ranked(jobs):
        said = settings(job)
        rate = list(job.error_rate or [None] * 3)
        repeated = list(of_job.get(job.name, [None] * 3))
        row = [job.name, *(said.get(key) for key in keys), job.value, *rate, job.images, job.seconds, *repeated]
        rows.append([*row, p.get(job.name), job.error])
    return csv_text(rows)


def short(value: str) -> str:
    """Return a value as it is, but a long number with four digits; the CSV file has them all."""
    return f"{float(value):.4g}" if re.fullmatch(r"-?\d+\.\d{5,}(e[+-]?\d+)?", value) else value


def duration(seconds: float) -> str:
    """Return a duration to two digits or more."""
    if seconds < 100:
        return f"{seconds:.{int(seconds < 10)}f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table whose columns are aligned."""
    cells = [list(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    lines.insert(1, "-|-".join("-" * width for width in widths))
    return "\n".join(f"| {line} |" if number != 1 else f"|-{line}-|" for number, line in enumerate(lines))
