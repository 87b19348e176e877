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
        cli._start(cfg)
    assert stopped.value.code == 130
    says = f"python train.py ckpt_path={cfg.run_dir} goes on" if saved else "there is no checkpoint yet"
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
    assert f"stopped by SIGTERM; python train.py ckpt_path={folder} goes on" in said
    assert "Traceback" not in said
    assert 5 <= torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] < 50
    assert {path.name for path in tmp_path.iterdir()} == {"outputs", "pets"}

    (tmp_path / "elsewhere").mkdir()
    lost = train(tmp_path / "elsewhere", f"ckpt_path={folder}")
    said, _ = lost.communicate(timeout=60)
    assert lost.returncode == 2
    assert f"has data.root={tmp_path / 'pets'}: type" in said

    again = train(tmp_path, "ckpt_path=last")
    said, _ = again.communicate(timeout=120)
    assert again.returncode == 0, said
    assert len((folder / "history.csv").read_text().splitlines()) == 11
    assert len(list((tmp_path / "outputs").glob("*/*"))) == 1
