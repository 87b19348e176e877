"""A job's record is read as it was written, with the error rate of the part its metric is measured on."""

import json
from pathlib import Path

import pytest

from pets.evaluation.intervals import wilson
from pets.sweep.record import Job, read_job, read_jobs, write_job


def test_what_is_written_is_read(tmp_path: Path) -> None:
    for job in (
        Job(("seed=1", "recipe.base_lr=0.1"), "valid/error_rate", 0.25, 3.5),
        Job((), "valid/error_rate", None, 0.1, "no images"),
    ):
        write_job(tmp_path, job)
        assert read_job(tmp_path) == job


def test_a_folder_in_which_no_job_has_ended_has_no_record(tmp_path: Path) -> None:
    assert read_job(tmp_path) is None
    assert read_jobs(tmp_path) == []


@pytest.mark.parametrize(("metric", "wrong", "images"), [("valid/loss", 11, 74), ("test/accuracy", 3, 30)])
def test_the_error_rate_is_of_the_part_of_the_metric(metric: str, wrong: int, images: int, tmp_path: Path) -> None:
    write_job(tmp_path, Job((), metric, 0.5, 1.0))
    metrics = {"valid/error_rate": 11 / 74, "test/error_rate": 3 / 30, "n": {"train": 9, "valid": 74, "test": 30}}
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    job = read_job(tmp_path)
    assert job is not None
    assert job.error_rate == wilson(wrong, images)
    assert job.images == images


def test_metrics_of_an_earlier_attempt_are_not_those_of_a_failed_job(tmp_path: Path) -> None:
    write_job(tmp_path, Job((), "valid/loss", None, 1.0, "out of disk"))
    (tmp_path / "metrics.json").write_text(json.dumps({"valid/error_rate": 0.1, "n": {"valid": 10}}))
    job = read_job(tmp_path)
    assert job is not None
    assert job.error_rate is None


def test_jobs_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("10", "9", "0"):
        (tmp_path / name).mkdir()
        write_job(tmp_path / name, Job((f"a={name}",), "m", 0.1, 1.0))
    assert [job.name for job in read_jobs(tmp_path)] == ["0", "9", "10"]


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text('{"overrides": []}')
    with pytest.raises(ValueError, match=r"job\.json: not the record of a job .* delete it"):
        read_job(tmp_path)
