"""Which rows of a leaderboard differ from the best by more than luck, and what it would take to tell the others."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import ceil, floor, log10
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pets.errors import UserError
from pets.evaluation.comparison import (
    Difference,
    bootstrap_errors,
    compare_seeds,
    evidence_needed,
    holm,
    mcnemar,
)
from pets.evaluation.predictions import NPZ_NAME, Predictions
from pets.runs.run_folder import RunFolder
from pets.sweep import ranking
from pets.sweep.record import Job

log = logging.getLogger("pets")

LEVEL, LEVEL_SINGLE = 0.05, 0.01
"""A corrected p-value below this makes a row worse than the best: of settings with several seeds, and of single runs.
McNemar's test cannot know that another seed gives another result: at 5% it finds a winner among equals too often
(`python -m benchmarks.luck`)."""
MOST = 100_000
"""More images than this are not worth a number."""
Row = Sequence[Job]
"""The jobs of one row: those that differ in nothing but seeds."""


@dataclass(frozen=True)
class Verdicts:
    """What the comparison of a table's rows says; empty where there is nothing to compare.

    Attributes:
        marks: By name of a row's first job: its cell in the column `beside the best`.
        p: By name of a job: corrected p-value of its row's difference from the best row.
        note: Sentences for below the tables.
    """

    marks: Mapping[str, str] = field(default_factory=dict)
    p: Mapping[str, float] = field(default_factory=dict)
    note: str = ""


def verdicts(jobs: Sequence[Job], sweep: Path) -> Verdicts:
    """Compare the rows of a leaderboard by the predictions that its jobs left; no image is predicted again.

    Args:
        jobs: The jobs of a sweep, at least one.
        sweep: Its folder.
    """
    rows = [sorted(group.jobs, key=_seeds) for group in ranking.repeats(jobs)]
    part, _, metric = jobs[0].metric.partition("/")
    if len(rows) < 2 or metric not in ("error_rate", "accuracy"):
        return Verdicts()
    found = [_read(RunFolder(sweep / job.name).part(part)) for row in rows for job in row]
    read = [predictions for predictions in found if predictions is not None]
    if len(read) < len(found):
        missing = len(found) - len(read)
        return Verdicts(note=f"Not compared: {missing} of {len(found)} jobs left no {part}/{NPZ_NAME}, which "
                        "evaluate.at_end=true writes.")  # fmt: skip
    wrong = wrong_by_image(read)
    if wrong is None:
        return Verdicts(note="Not compared: the jobs do not agree on the classes of their images.")
    return compare(rows, wrong, part)


def _seeds(job: Job) -> list[str]:
    said = ranking.settings(job)
    return [said.get(key, "").zfill(12) for key in ranking.SEEDS]


def _read(folder: Path) -> Predictions | None:
    try:
        return Predictions.load(folder)
    except FileNotFoundError:
        return None
    except UserError as error:
        log.warning(str(error))
        return None


def wrong_by_image(predictions: Sequence[Predictions]) -> NDArray[np.float64] | None:
    """Return float64 (n, R): 1 where a run is wrong about an image, 0 where it is right, NaN where it did not see it.

    The n images are those that any run predicted. None if two runs give an image different labels.
    """
    row_of: dict[str, int] = {}
    for one in predictions:
        for file in one.files.tolist():
            row_of.setdefault(file, len(row_of))
    wrong = np.full((len(row_of), len(predictions)), np.nan)
    labels: dict[int, str] = {}
    for run, one in enumerate(predictions):
        rows = [row_of[file] for file in one.files.tolist()]
        wrong[rows, run] = ~one.correct
        for row, target in zip(rows, one.targets.tolist(), strict=True):
            if labels.setdefault(row, one.classes[target]) != one.classes[target]:
                return None
    return wrong


def compare(rows: Sequence[Row], wrong: NDArray[np.float64], part: str) -> Verdicts:
    """Compare every two rows, correct for their number, and mark each row beside the first, the best.

    All pairs count, not only those with the best row: which one that is was chosen by looking at the results.

    Args:
        rows: At least two rows, the best first; single runs, or several seeds each.
        wrong: What `wrong_by_image` returns of their jobs, in this order.
        part: The part of the data that they predicted.
    """
    ends = np.cumsum([len(row) for row in rows]).tolist()
    columns = [list(range(end - len(row), end)) for row, end in zip(rows, ends, strict=True)]
    single = all(len(row) == 1 for row in rows)
    pairs = [
        pair
        for pair in combinations(range(len(rows)), 2)
        if _comparable(wrong, columns[pair[0]], columns[pair[1]], single)
    ]
    if not pairs:
        return Verdicts(note="Not compared: no two rows were measured on the same images, with two seeds or more each.")
    errors = np.empty((0, 0)) if single else bootstrap_errors(wrong, np.random.default_rng(0))
    differences = {
        (a, b): _single(wrong, columns[a], columns[b])
        if single
        else compare_seeds(wrong, columns[a], columns[b], errors)
        for a, b in pairs
    }
    corrected = dict(zip(pairs, holm([difference.p for difference in differences.values()]), strict=True))
    level = LEVEL_SINGLE if single else LEVEL
    marks = {rows[0][0].name: "best"}
    p: dict[str, float] = {}
    for number, row in enumerate(rows[1:], start=1):
        value = corrected.get((0, number))
        word = "luck?" if value is None or value >= level else "worse"
        marks[row[0].name] = f"{word} not compared" if value is None else f"{word} {_shown(value)}"
        p |= {job.name: value for job in row if value is not None}
    note = _note(wrong, len(pairs), single, level)
    untold = [pair for pair in pairs if pair[0] == 0 and corrected[pair] >= level]
    if untold:
        needed = _needed(differences[untold[0]], level / len(pairs), wrong, rows[0], part)
        note += f"\nTo tell {_name(rows, untold[0][1])} from the best: {needed}."
    return Verdicts(marks, p, note)


def _shown(p: float) -> str:
    return f"p={p:.2g}" if p >= 0.001 else "p<0.001"


def _comparable(wrong: NDArray[np.float64], first: list[int], second: list[int], single: bool) -> bool:
    """Tell whether two rows have seeds enough, and the same images as a whole or run by run."""
    seen = np.isfinite(wrong)
    if not single and min(len(first), len(second)) < 2:
        return False
    alike = len({seen[:, column].tobytes() for column in (*first, *second)}) == 1
    return alike or (len(first) == len(second) and bool((seen[:, first] == seen[:, second]).all()))


def _single(wrong: NDArray[np.float64], first: list[int], second: list[int]) -> Difference:
    shared = np.isfinite(wrong[:, first[0]])
    return mcnemar(wrong[shared, first[0]], wrong[shared, second[0]])


def _note(wrong: NDArray[np.float64], n_pairs: int, single: bool, level: float) -> str:
    test = "McNemar's exact test" if single else "a bootstrap over images and seeds"
    pairs = f"{n_pairs} pairs" if n_pairs > 1 else "1 pair"
    alone = "; single runs do not show what another seed would give, hence the strict level" if single else ""
    return (
        f"worse: by {test} on the {len(wrong):,} images, Holm's correction for {pairs}, p below {level:g}{alone}; "
        "luck?: cannot be told from the best."
    )


def _name(rows: Sequence[Row], number: int) -> str:
    """Return what makes a row different, or its job's name."""
    said = ranking.settings(rows[number][0])
    keys = [key for key in ranking.varied([job for row in rows for job in row]) if key not in ranking.SEEDS]
    return ", ".join(f"{key}={ranking.short(said[key])}" for key in keys if key in said) or rows[number][0].name


def _needed(difference: Difference, level: float, wrong: NDArray[np.float64], best: Row, part: str) -> str:
    """Return what it would take to tell two rows apart, if the difference stays what it is."""
    factors = evidence_needed(difference, level)
    if factors is None:
        return "they make equally many mistakes, which no number of images changes"
    n = np.isfinite(wrong).sum(axis=0).mean()
    images, seeds = n * (factors[0] - 1), ceil(len(best) * factors[1]) - len(best)
    of_part, told = f"more {'validation' if part == 'valid' else part} images", []
    if factors[0] > 1:
        told.append(f"more than {MOST:,} {of_part}" if images > MOST else f"about {_round(images):,} {of_part}")
    if factors[1] > 1 or not told:
        told.append(f"about {max(1, seeds):,} more seeds a row")
    points = f"{abs(100 * difference.value):.2g}"
    return f"{' and '.join(told)}, if the difference stays {points} point{'s' * (points != '1')}"


def _round(value: float) -> int:
    """Return a number with two digits that count, rounded up to 10 at least."""
    step: int = 10 ** max(1, floor(log10(max(value, 1.0))) - 1)
    return max(1, ceil(value / step)) * step
