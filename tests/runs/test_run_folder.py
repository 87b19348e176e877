"""A run folder: one place knows where everything lies, and one process works in it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from pets.errors import UserError
from pets.runs import run_folder
from pets.runs.run_folder import RunFolder

HOLD = """
import sys
from pets.runs.run_folder import RunFolder
with RunFolder(sys.argv[1]).claimed():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_processes_do_not_work_in_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_folder, "LOCK_SECONDS", 0.1)
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="another process works in it"), RunFolder(tmp_path / "run").claimed():
            pass
        other.communicate("")
    with RunFolder(tmp_path / "run").claimed():
        pass


def test_a_command_that_did_nothing_leaves_no_folder(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    with run.claimed():
        (run.path / "train.log").touch()
    assert not run.path.exists()


def test_a_command_that_did_nothing_leaves_no_folder_of_its_day_either(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "outputs" / "day" / "run").claimed():
        pass
    assert not (tmp_path / "outputs").exists()
    day = tmp_path / "outputs" / "day"
    with RunFolder(day / "run").claimed():
        (day / "another").mkdir()
    assert list(day.iterdir()) == [day / "another"]


def test_a_folder_in_which_something_was_done_stays(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    for name in ("predictions.csv", "notes.txt"):
        with run.claimed():
            (run.path / name).touch()
        assert (run.path / name).exists()


def test_a_folder_that_cannot_be_written_to_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = pytest.raises(UserError, match=r"hydra\.run\.dir=.*file/run cannot be written: Not a directory")
    with refused, RunFolder(tmp_path / "file" / "run").claimed():
        pass


def test_only_the_first_process_of_a_run_claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    with RunFolder(tmp_path / "run").claimed():
        assert not (tmp_path / "run").exists()


def test_the_run_of_a_checkpoint(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    found = RunFolder.of_checkpoint(run.best)
    assert found is not None
    assert found.path == run.path
    assert RunFolder.of_checkpoint(tmp_path / "copied.ckpt") is None


def test_the_latest_run(tmp_path: Path) -> None:
    assert RunFolder.latest(tmp_path) is None
    for age, name in enumerate(("new", "old")):
        run = RunFolder(tmp_path / "day" / name)
        run.checkpoints.mkdir(parents=True)
        run.last.touch()
        os.utime(run.last, (1000 - age, 1000 - age))
    latest = RunFolder.latest(tmp_path)
    assert latest is not None
    assert latest.path.name == "new"


def test_the_curves_of_an_attempt_without_a_checkpoint_go(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for path in (run.path / "events.out.tfevents.1.x", run.history, run.path / "train.log"):
        path.touch()
    run.forget_attempt()
    assert [path.name for path in run.path.iterdir()] == ["train.log"]


def test_conf_puts_files_where_the_run_folder_has_them() -> None:
    """The paths in conf/ are written for people; this holds them against the one place that knows."""
    conf = Path(__file__).parents[2] / "conf"
    callbacks = OmegaConf.load(conf / "callbacks" / "default.yaml")
    run = RunFolder("${run_dir}")
    written = OmegaConf.to_container(callbacks)
    assert isinstance(written, dict)
    assert written["history"]["path"] == str(run.history)
    assert written["mid_epoch"]["path"] == str(run.last)
    for name, path in (("checkpoint", run.best), ("last", run.last)):
        assert f"{written[name]['dirpath']}/{written[name]['filename']}.ckpt" == str(path)


def test_two_runs_of_one_second_have_folders_of_their_own() -> None:
    conf = (Path(__file__).parents[2] / "conf" / "config.yaml").read_text()
    assert conf.count("%H-%M-%S-%f") == 2  # of a run and of a sweep
