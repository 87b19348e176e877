"""Signals as schedulers and keyboards send them: the run says how it goes on, and does."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig

from pets import cli
from pets.tasks import fit

ROOT = Path(__file__).parents[1]


def train(cwd: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *arguments],
        cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )  # fmt: skip


@pytest.mark.parametrize("saved", [False, True])
def test_ctrl_c_says_how_the_run_goes_on(
    tiny_config: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, saved: bool
) -> None:
    def interrupted(cfg: DictConfig) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            sys.exit(1)  # as Lightning does

    cfg = tiny_config()
    if saved:
        (Path(cfg.run_dir) / "checkpoints").mkdir()
        (Path(cfg.run_dir) / "checkpoints" / "last.ckpt").touch()
    monkeypatch.setattr(fit, "run", interrupted)
    caplog.set_level("INFO", logger="pets")
    with pytest.raises(SystemExit) as stopped:
        cli._check_and_start(cfg)
    assert stopped.value.code == 130
    says = f"to resume:\n  python train.py ckpt_path={cfg.run_dir}" if saved else "there is no checkpoint yet"
    assert f"stopped by SIGINT; {says}" in caplog.text


def test_a_run_ended_by_sigterm_says_how_it_goes_on_and_does(tiny_pets: Path, tmp_path: Path) -> None:
    (tmp_path / "pets").symlink_to(tiny_pets)
    run = train(
        tmp_path, "data=regex", "data.root=pets", "data.presize.size=40", "augment.size=32", "data.batch_size=4",
        "data.num_workers=1", "model=timm", "model.arch=test_resnet", "model.weights=null", "model.head.hidden=8",
        "recipe.freeze_epochs=5", "recipe.epochs=5", "trainer=cpu", "evaluate.at_end=false", "hydra.job.chdir=true",
    )  # fmt: skip
    assert run.stdout is not None
    assert any(line.split()[1:2] == ["frozen"] for line in run.stdout)
    run.send_signal(signal.SIGTERM)
    said, _ = run.communicate(timeout=60)
    assert run.returncode == 128 + signal.SIGTERM
    (folder,) = (tmp_path / "outputs").glob("*/*_fit")
    assert f"stopped by SIGTERM; to resume:\n  python train.py ckpt_path={folder.relative_to(tmp_path)}\n" in said
    assert "Traceback" not in said
    assert 5 <= torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] < 50
    assert {path.name for path in tmp_path.iterdir()} == {"outputs", "pets"}

    (tmp_path / "elsewhere").mkdir()
    again = train(tmp_path / "elsewhere", f"ckpt_path={folder}")  # data.root=pets: of the folder the run started in
    said, _ = again.communicate(timeout=120)
    assert again.returncode == 0, said
    assert len((folder / "history.csv").read_text().splitlines()) == 11
    assert len(list((tmp_path / "outputs").glob("*/*"))) == 1

    finished = train(tmp_path, "ckpt_path=last")
    said, _ = finished.communicate(timeout=120)
    assert finished.returncode == 0, said
    assert len((folder / "history.csv").read_text().splitlines()) == 11


def test_a_signal_to_all_processes_of_a_run_leaves_the_loaders_workers_alive_until_the_step_is_saved(
    tiny_pets: Path, tmp_path: Path
) -> None:
    run = train(
        tmp_path, "data=regex", f"data.root={tiny_pets}", "data.presize.size=40", "augment.size=32",
        "data.batch_size=4", "data.num_workers=2", "model=timm", "model.arch=test_resnet", "model.weights=null",
        "model.head.hidden=8",
        "recipe.freeze_epochs=500", "trainer=cpu", "evaluate.at_end=false", "hydra.run.dir=run",
    )  # fmt: skip
    assert run.stdout is not None
    assert any(line.split()[1:2] == ["frozen"] for line in run.stdout)
    os.killpg(run.pid, signal.SIGTERM)
    said, _ = run.communicate(timeout=60)
    assert run.returncode == 128 + signal.SIGTERM, said
    assert "stopped by SIGTERM" in said
    assert "error" not in said.lower()


def listen(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process that listens to signals, and gives a step one second."""
    program = (
        "import os, signal, time; from pets import signals; signals.GRACE = 1\n"
        "listener = signals.Signals(lambda: SystemExit(7)); listener.open(); listener.deferred = True\n"
    )
    return subprocess.run(
        [sys.executable, "-c", program + code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_step_that_does_not_end_is_ended() -> None:
    done = listen("os.kill(os.getpid(), signal.SIGTERM); time.sleep(600)")
    assert done.returncode == 128 + signal.SIGTERM
    assert "stopped by SIGTERM after 1 s in one step; the last checkpoint is kept" in done.stderr


def test_a_signal_that_comes_twice_at_once_is_one_wish() -> None:
    done = listen(
        "signals.GRACE = 600\n"
        "for _ in range(2): os.kill(os.getpid(), signal.SIGTERM); time.sleep(0.7)\n"
        "print(listener.received.name); listener.close()"
    )
    assert (done.returncode, done.stdout) == (0, "SIGTERM\n")


def test_between_steps_a_signal_is_a_note_and_elsewhere_it_stops_at_once() -> None:
    kill = "os.kill(os.getpid(), signal.SIGTERM); print(listener.received.name)"
    assert listen(f"signals.GRACE = 600; {kill}; listener.close()").stdout == "SIGTERM\n"
    done = listen(f"listener.deferred = False; {kill}")
    assert (done.returncode, done.stdout) == (7, "")


def test_a_signal_to_a_fork_is_none_to_its_parent() -> None:
    done = listen(
        "child = os.fork()\n"
        "if child == 0: time.sleep(1.5); os._exit(0)\n"
        "time.sleep(0.3); os.kill(child, signal.SIGTERM); time.sleep(2); print(listener.received); listener.close()"
    )
    assert (done.returncode, done.stdout) == (0, "None\n")


def test_the_handlers_of_before_come_back() -> None:
    done = listen(
        "listener.close(); assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n"
        "assert signal.set_wakeup_fd(-1) == -1; os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)"
    )
    assert done.returncode == -signal.SIGTERM
