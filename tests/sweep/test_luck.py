"""The leaderboard marks what cannot be told from the best, from predictions that the jobs left."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pets.evaluation.predictions import Predictions
from pets.sweep import ranking
from pets.sweep.luck import verdicts, wrong_by_image
from pets.sweep.record import Job


def predictions(wrong: np.ndarray, first: int = 0) -> Predictions:
    """Predictions of two classes, wrong where it says so, of the images from number `first` on."""
    n = len(wrong)
    targets = np.arange(first, first + n) % 2
    shown = np.where(wrong, 1 - targets, targets)
    files = np.array([f"image_{first + row}.jpg" for row in range(n)])
    return Predictions(np.eye(2, dtype=np.float32)[shown], targets, np.zeros(n, np.float32), files, ("a", "b"))


def sweep(folder: Path, rates: dict[str, Sequence[float]], n: int = 400, metric: str = "valid/error_rate") -> list[Job]:
    """Jobs of settings with a run for each rate, and their predictions on the same images."""
    rng, jobs = np.random.default_rng(0), list[Job]()
    for setting, runs in rates.items():
        for seed, rate in enumerate(runs):
            wrong = rng.permutation(n) < round(rate * n)
            name = str(len(jobs))
            (folder / name / "valid").mkdir(parents=True)
            predictions(wrong).write_npz(folder / name / "valid" / "predictions.npz")
            value = float(wrong.mean())
            jobs.append(Job((f"lr={setting}", f"seed={seed}"), metric, value, 1.0, None, name))
    return jobs


def test_single_runs_are_marked_beside_the_best(tmp_path: Path) -> None:
    jobs = sweep(tmp_path, {"1": [0.10], "2": [0.12], "3": [0.5]})
    told = verdicts(jobs, tmp_path)
    assert told.marks["0"] == "best"
    assert told.marks["1"].startswith("luck? p=")
    assert told.marks["2"].startswith("worse p<0.001")
    assert told.p["2"] < 0.01 < told.p["1"]
    assert "McNemar's exact test on the 400 images, Holm's correction for 3 pairs" in told.note
    last = told.note.splitlines()[-1]
    assert last.startswith("To tell lr=2 from the best: about ")
    assert "more validation images, if the difference stays 2 points" in last
    text = ranking.markdown(jobs, told.marks, told.note)
    assert "| beside the best " in text
    assert text.rstrip().endswith(last)
    assert ranking.as_csv(jobs, told.p).splitlines()[0].endswith(",n,p_best,error")


def test_settings_with_several_seeds_are_rows_of_the_table_of_means(tmp_path: Path) -> None:
    jobs = sweep(tmp_path, {"1": [0.1, 0.11, 0.12], "2": [0.11, 0.12, 0.13], "3": [0.5, 0.51, 0.52]})
    told = verdicts(jobs, tmp_path)
    assert sorted(mark.split()[0] for mark in told.marks.values()) == ["best", "luck?", "worse"]
    assert len(told.p) == 6
    assert "a bootstrap over images and seeds on the 400 images" in told.note
    means, of_jobs = ranking.markdown(jobs, told.marks, told.note).split("| job ")
    assert "beside the best" in means
    assert "beside the best" not in of_jobs


def test_a_setting_with_one_seed_is_not_compared_with_those_of_several(tmp_path: Path) -> None:
    jobs = sweep(tmp_path, {"1": [0.1] * 2, "2": [0.1] * 2, "3": [0.9]})
    told = verdicts(jobs, tmp_path)
    assert told.marks["4"] == "luck? not compared"
    assert "4" not in told.p


def test_jobs_without_predictions_are_not_compared_and_the_note_says_why(tmp_path: Path) -> None:
    jobs = sweep(tmp_path, {"1": [0.1], "2": [0.2]})
    (tmp_path / "1" / "valid" / "predictions.npz").unlink()
    told = verdicts(jobs, tmp_path)
    assert told.marks == {}
    assert told.note == ("Not compared: 1 of 2 jobs left no valid/predictions.npz, which evaluate.at_end=true writes.")


def test_damaged_predictions_are_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    jobs = sweep(tmp_path, {"1": [0.1], "2": [0.2]})
    (tmp_path / "1" / "valid" / "predictions.npz").write_bytes(b"PK no archive")
    assert verdicts(jobs, tmp_path).note.startswith("Not compared")
    assert "cannot be read as predictions" in caplog.text


def test_other_metrics_and_single_rows_are_left_alone(tmp_path: Path) -> None:
    assert verdicts(sweep(tmp_path / "a", {"1": [0.1], "2": [0.9]}, metric="valid/loss"), tmp_path / "a").note == ""
    assert verdicts(sweep(tmp_path / "b", {"1": [0.1, 0.2]}), tmp_path / "b").note == ""


def test_runs_on_other_images_are_not_compared(tmp_path: Path) -> None:
    jobs = sweep(tmp_path, {"1": [0.1], "2": [0.9]})
    predictions(np.zeros(400, bool), first=100).write_npz(tmp_path / "1" / "valid" / "predictions.npz")
    assert verdicts(jobs, tmp_path).note.startswith("Not compared: no two rows were measured on the same images")


def test_images_are_matched_by_name_and_labels_must_agree() -> None:
    first = predictions(np.array([True, False, False]))
    second = predictions(np.array([False, True]), first=1)
    wrong = wrong_by_image([first, second])
    assert wrong is not None
    np.testing.assert_array_equal(wrong, [[1, np.nan], [0, 0], [0, 1]])
    renamed = Predictions(second.probabilities, second.targets, second.losses, second.files, ("b", "a"))
    assert wrong_by_image([first, renamed]) is None
