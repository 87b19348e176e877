"""What Hydra's callback does before a sweep and when its jobs have ended."""

import json
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from omegaconf import DictConfig, OmegaConf

from pets.evaluation.intervals import wilson
from pets.sweep.leaderboard import Leaderboard, crowded, draw, missing
from pets.sweep.record import Job, write_job


def sweep(folder: Path) -> DictConfig:
    """The part of a sweep's configuration that the callback reads."""
    targets = {"launcher": {"_target_": "hydra.basic"}, "sweeper": {"_target_": "hydra.basic"}}
    hydra = {"sweep": {"dir": str(folder)}, "runtime": {"choices": {"hydra/sweeper": "optuna"}}, **targets}
    return OmegaConf.create({"hydra": hydra, "data": {"num_workers": 4}})


def put(folder: Path, name: str, value: float | None, error: str | None = None) -> None:
    (folder / name).mkdir()
    write_job(folder / name, Job((f"a={name}",), "valid/accuracy", value, 1.0, error))


def test_files_are_written_and_the_console_shows_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, "0", 0.7)
    put(tmp_path, "1", 0.8)
    Leaderboard().on_multirun_end(sweep(tmp_path))
    text = (tmp_path / "leaderboard.md").read_text()
    assert text.startswith("# Leaderboard\n")
    assert text.index("0.8000") < text.index("0.7000")
    assert (tmp_path / "leaderboard.csv").read_text().splitlines()[1].startswith("1,1,0.8,")
    assert text.removeprefix("# Leaderboard\n\n") in capsys.readouterr().out


def test_a_sweep_has_a_picture_of_error_against_what_varied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, rate in {"0": 0.25, "1": 0.5}.items():
        put(tmp_path, name, 1 - rate)
        (tmp_path / name / "metrics.json").write_text(json.dumps({"valid/error_rate": rate, "n": {"valid": 40}}))
    Leaderboard().on_multirun_end(sweep(tmp_path))
    assert capsys.readouterr().out.splitlines()[-4:] == [
        f"sweep folder: {tmp_path}",
        f"  {tmp_path / 'leaderboard.md'}",
        f"  {tmp_path / 'sweep.png'}",
        f"  tensorboard --logdir {tmp_path}",
    ]
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_repeats_of_one_setting_stand_together_in_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def sweep_figure(*args: Any) -> Figure:
        drawn.append(args)
        return Figure()

    monkeypatch.setattr("pets.evaluation.figures.sweep.sweep_figure", sweep_figure)
    jobs = [
        Job((f"recipe.base_lr={lr}", f"seed={seed}"), "test/loss", 0.1, 1.0, error_rate=wilson(seed, 9))
        for lr in ("0.001", "0.002") for seed in (0, 1)
    ]  # fmt: skip
    draw([*jobs, Job(("recipe.base_lr=9", "seed=0"), "test/loss", None, 1.0, "failed")], tmp_path)
    both = [wilson(0, 9), wilson(1, 9)]
    assert drawn == [({"0.001": both, "0.002": both}, "recipe.base_lr", "test")]


def test_a_failed_job_is_a_row_and_an_exit_code(tmp_path: Path) -> None:
    put(tmp_path, "0", 0.7)
    put(tmp_path, "1", None, "no images")
    with pytest.raises(SystemExit) as stopped:
        Leaderboard().on_multirun_end(sweep(tmp_path))
    assert stopped.value.code == 1
    assert "no images" in (tmp_path / "leaderboard.md").read_text()


def test_without_a_record_there_is_no_leaderboard(tmp_path: Path) -> None:
    Leaderboard().on_multirun_end(sweep(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("n_cores", "n_jobs", "workers", "warns"),
    [(8, 2, 3, False), (8, 2, 4, True), (8, 1, 20, False), (2, 2, None, False), (2, 3, None, True)],
)
def test_too_many_processes_are_a_warning(n_cores: int, n_jobs: int, workers: int | None, warns: bool) -> None:
    warning = crowded(n_cores, n_jobs, workers)
    assert (warning is not None) == warns
    if warning:
        assert f"{n_jobs} jobs at once x ({workers or 0} workers + 1)" in warning


def test_the_warning_is_given_before_the_sweep(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pets.machine.available_cores", lambda: 2)
    config = sweep(tmp_path)
    config.hydra.launcher.n_jobs = 2
    Leaderboard().on_multirun_start(config)
    assert "2 jobs at once x (4 workers + 1) = 10 processes on 2 cores" in caplog.text


def test_a_plugin_that_is_not_there_is_named_with_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pets.sweep.leaderboard.find_spec", lambda name: None if name == "optuna" else object())
    config = sweep(tmp_path)
    config.hydra.sweeper._target_ = "hydra_plugins.pets_optuna_sweeper.sweeper.OptunaSweeper"
    with pytest.raises(SystemExit) as stopped:
        Leaderboard().on_multirun_start(config)
    assert stopped.value.code == 2
    assert capsys.readouterr().err == 'error: hydra/sweeper=optuna needs pip install "pets[sweep]"\n'
    assert missing("hydra._internal.core_plugins.basic_sweeper.BasicSweeper") is None
