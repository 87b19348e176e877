"""The leaderboard's order, its columns, its repeats over seeds."""

import csv
import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pets.evaluation.intervals import wilson
from pets.sweep.ranking import as_csv, duration, experiments, markdown, ranked, repeats, short, table, varied
from pets.sweep.record import Job


def job(
    name: int, value: float | None, *overrides: str, error: str | None = None, metric: str = "valid/error_rate"
) -> Job:
    rate = None if value is None or math.isnan(value) else wilson(round(value * 74), 74)
    return Job(overrides, metric, value, 12.0, error, str(name), rate, 74 if rate else None)


JOBS = [
    job(0, 0.3, "experiment=few_shot", "recipe.base_lr=0.01", "seed=0"),
    job(1, 0.2, "experiment=few_shot", "recipe.base_lr=0.01", "seed=1"),
    job(2, 0.1, "experiment=few_shot", "recipe.base_lr=0.02", "seed=0"),
    job(3, None, "experiment=few_shot", "recipe.base_lr=-1", "seed=0", error="recipe.base_lr=-1 is not allowed"),
]


def test_only_what_varies_is_a_column() -> None:
    assert varied(JOBS) == ["recipe.base_lr", "seed"]
    assert varied([job(0, 0.1, "a=1", "+b=2"), job(1, 0.1, "a=1")]) == ["b"]


def test_the_best_is_first_and_the_failed_are_last() -> None:
    nan, empty = job(4, math.nan, "a=1"), job(5, None, "a=2")
    assert [each.name for each in ranked([*JOBS, nan])] == ["2", "1", "0", "4", "3"]
    assert [each.name for each in ranked([*JOBS, empty])] == ["2", "1", "0", "5", "3"]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_the_metric_says_whether_low_or_high_is_better(values: list[float]) -> None:
    def ranking(metric: str) -> list[float | None]:
        return [each.value for each in ranked(job(i, value, metric=metric) for i, value in enumerate(values))]

    assert ranking("valid/error_rate") == ranking("test/loss") == sorted(values)
    assert ranking("valid/accuracy") == ranking("valid/f1_macro") == sorted(values, reverse=True)


def test_folds_are_repeats() -> None:
    folds = [job(fold, 0.1 + fold / 100, f"data.split.fold={fold}", "model=resnet18") for fold in range(5)]
    (group,) = repeats(folds)
    assert group.value.n == 5
    assert group.value.mean == pytest.approx(0.12)
    assert "| 0.1200" in markdown(folds)


def test_jobs_that_differ_only_in_seeds_are_repeats() -> None:
    split = [job(6, 0.4, "experiment=few_shot", "recipe.base_lr=0.01", "seed=0", "data.split.seed=1")]
    best, other = repeats([*JOBS, *split])
    assert best.value == (0.1, None, 1)
    assert [each.name for each in other.jobs] == ["0", "1", "6"]
    assert other.value == pytest.approx((0.3, 0.1, 3))
    assert [len(group) for group in experiments([*JOBS, *split])] == [3, 1, 1]


def test_the_best_mean_is_first() -> None:
    accuracies = [job(i, value, f"a={i}", metric="valid/accuracy") for i, value in enumerate((0.7, math.nan, 0.9))]
    assert [group.jobs[0].name for group in repeats(accuracies)] == ["2", "0", "1"]
    assert "valid/accuracy, the highest first" in markdown(accuracies)


def test_markdown_shows_common_overrides_once_repeats_first_and_why_a_job_failed() -> None:
    text = markdown(JOBS)
    lines = text.splitlines()
    assert lines[0].startswith("4 jobs, 1 failed; valid/error_rate, the lowest first")
    assert lines[1] == "All jobs: `experiment=few_shot`"
    assert "mean" in lines[3]
    assert "0.2500" in text
    assert "0.0707" in text
    assert lines[-1] == "1. 3: recipe.base_lr=-1 is not allowed"
    assert lines[-3].startswith("| 3 ")
    assert "failed [1]" in lines[-3]
    assert "is not allowed" not in lines[-3]
    assert "0.037 to 0.178, n=74" not in lines[-3]
    rows = [line for line in lines if line.startswith("|")]
    assert len({len(line) for line in rows[-5:]}) == 1


def test_failures_are_notes_in_the_order_of_the_rows_so_that_a_row_fits_a_terminal() -> None:
    jobs = [job(i, None, f"a={i}", error="far too long for a row: " + 200 * "x") for i in range(2)]
    lines = markdown([*jobs, job(2, 0.1, "a=2")]).splitlines()
    assert max(len(line) for line in lines if line.startswith("|")) <= 80
    assert [line.partition("far")[0] for line in lines[-2:]] == ["1. 0: ", "2. 1: "]
    assert [line.split()[1] for line in lines if "failed [" in line] == ["0", "1"]


def test_without_repeats_there_is_one_table() -> None:
    assert markdown(JOBS[1:3]).count("\n|-") == markdown(JOBS[:1]).count("\n|-") == 1


def test_another_metric_than_the_error_rate_has_the_error_beside_it() -> None:
    loss = Job(("a=1",), "valid/loss", 0.7, 3.0, None, "0", wilson(10, 74), 74)
    header, _, row = markdown([loss]).splitlines()[-3:]
    assert [cell.strip() for cell in header.split("|")[2:5]] == ["valid/loss", "error rate", "interval"]
    assert [cell.strip() for cell in row.split("|")[2:4]] == ["0.7000", "0.1351"]


def test_csv_has_one_row_a_job_with_all_digits() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(JOBS))))
    assert [row["job"] for row in rows] == ["2", "1", "0", "3"]
    assert float(rows[1]["low"]) == wilson(15, 74).low
    assert float(rows[1]["mean"]) == 0.25
    assert rows[1]["n"] == "2"
    assert rows[-1]["error"] == "recipe.base_lr=-1 is not allowed"


def test_a_cell_cannot_break_the_table() -> None:
    assert table(["a"], [["x | y"]]).splitlines()[-1] == "| x \\| y |"


def test_long_numbers_are_shortened_and_nothing_else() -> None:
    assert short("0.0005611516415334506") == "0.0005612"
    assert short("1.234567890123e-05") == "1.235e-05"
    assert [short(text) for text in ("0.001", "1e-05", "resnet34", "2026-11-24", "")] == [
        "0.001", "1e-05", "resnet34", "2026-11-24", "",
    ]  # fmt: skip


def test_durations() -> None:
    assert [duration(seconds) for seconds in (0.52, 41, 192, 9000)] == ["0.5 s", "41 s", "3.2 min", "2.5 h"]
