"""`python train.py -m` as a person meets it: every job is a row, and a sweep that is run again does what is missing."""

import csv
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Train = Callable[..., subprocess.CompletedProcess[str]]


def rows(sweep: Path) -> list[dict[str, str]]:
    with (sweep / "leaderboard.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_failed_job_is_a_row_and_a_second_run_does_only_that(train: Train, tiny_pets: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_pets, tmp_path / "copy")
    sweep = [f"data.root={tiny_pets},later,copy", "data.num_workers=0", "hydra.sweep.dir=sweep"]
    first = train(*sweep)
    assert first.returncode == 1, first.stderr
    assert "Traceback" not in first.stderr
    assert first.stderr.count("error: job 1: ") == 1
    board = (tmp_path / "sweep" / "leaderboard.md").read_text()
    assert board.removeprefix("# Leaderboard\n\n") in first.stdout
    assert "3 jobs, 1 failed" in board
    assert [row["job"] for row in rows(tmp_path / "sweep")] == ["0", "2", "1"]

    shutil.copytree(tiny_pets, tmp_path / "later")
    folders = [tmp_path / "sweep" / name for name in ("0", "1", "2")]
    before = [(folders[i] / "metrics.json").stat().st_mtime_ns for i in (0, 2)]
    again = train(*sweep)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("read, not run") == 2
    assert [(folders[i] / "metrics.json").stat().st_mtime_ns for i in (0, 2)] == before
    assert [row["error"] for row in rows(tmp_path / "sweep")] == ["", "", ""]

    # The same images under three names: first in its process, alone in its process, second in its process.
    losses = {json.loads((folder / "metrics.json").read_text())["valid/loss"] for folder in folders}
    assert len(losses) == 1, "a job depends on the jobs before it"
    assert all(len(list(folder.glob("events.out.tfevents.*"))) == 1 for folder in folders)


def test_another_sweep_in_the_same_folder_is_refused(train: Train, tmp_path: Path) -> None:
    folder = tmp_path / "sweep" / "0"
    folder.mkdir(parents=True)
    record = {"overrides": ["seed=9"], "metric": "valid/loss", "value": 0.1, "seconds": 1.0, "error": None}
    (folder / "job.json").write_text(json.dumps(record))
    done = train("seed=1,2", "hydra.sweep.dir=sweep")
    assert done.returncode == 2
    assert "holds the result of `seed=9`" in done.stderr
    assert json.loads((folder / "job.json").read_text()) == record


@pytest.mark.parametrize(
    ("launcher", "plugin"),
    [("joblib", "hydra_joblib_launcher"), ("submitit_local", "hydra_submitit_launcher")],
)
def test_launchers_run_jobs_side_by_side(launcher: str, plugin: str, train: Train, tmp_path: Path) -> None:
    pytest.importorskip(f"hydra_plugins.{plugin}")
    settings = ["data.num_workers=1", *["hydra.launcher.n_jobs=2"] * (launcher == "joblib")]
    done = train(f"hydra/launcher={launcher}", *settings, "data.split.valid_pct=0.25,0.95", "hydra.sweep.dir=sweep")
    assert done.returncode == 1, done.stderr
    good, bad = rows(tmp_path / "sweep")
    assert float(good["valid/error_rate"]) == float(good["error_rate"])
    assert "no file to train on" in bad["error"]


def test_bayesian_search_asks_for_the_same_jobs_again(train: Train, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    search = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "recipe.base_lr=tag(log,interval(1e-4,1e-2))"]
    for read in (0, 2):
        done = train(*search, "data.num_workers=0", "hydra.sweep.dir=sweep")
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("read, not run") == read
    rates = {float(row["recipe.base_lr"]) for row in rows(tmp_path / "sweep")}
    assert len(rates) == 2
    assert all(1e-4 <= rate <= 1e-2 for rate in rates)
