"""The command `pets`: where its configuration lies, and how a person adds files to it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pets.__main__ import config_dir

ROOT = Path(__file__).parents[1]
STARTS = {"python train.py": [str(ROOT / "train.py")], "python -m pets": ["-m", "pets"]}
OWN = {
    "conf/experiment/mine.yaml": """
# @package _global_
defaults:
  - override /augment: mine
  - override /callbacks: mine
augment:
  size: 32
""",
    "conf/augment/mine.yaml": """
defaults: [default]
_target_: own.Darker
""",
    "conf/callbacks/mine.yaml": """
defaults: [default]
announce:
  _target_: own.Announce
  text: an epoch has ended
""",
    "own.py": """
from dataclasses import dataclass
from lightning import Callback
from pets import BatchTransform

@dataclass(frozen=True, kw_only=True)
class Darker(BatchTransform):
    def train(self, batch, n_classes):
        batch = super().train(batch, n_classes)
        return batch._replace(images=batch.images / 2)

class Announce(Callback):
    def __init__(self, text):
        self.text = text

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.brightest = float(batch.images.max())

    def on_train_epoch_end(self, trainer, pl_module):
        print(self.text, self.brightest)
""",
}


def start(how: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command in one of the ways in which it can be started, where `own.py` can be imported."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(cwd)])}
    command = [sys.executable, *STARTS[how], *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_the_configuration_is_found() -> None:
    assert (config_dir() / "config.yaml").is_file()


def test_every_way_to_start_composes_the_same() -> None:
    assert len({start(how, "--cfg", "job", "experiment=demo", cwd=ROOT).stdout for how in STARTS}) == 1


def test_one_way_to_start_is_as_good_as_the_other_for_errors(tmp_path: Path) -> None:
    for how in STARTS:
        done = start(how, "recipe.epochs=-1", cwd=tmp_path)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_a_folder_of_ones_own_adds_an_experiment_a_callback_and_an_augmentation(
    tiny_pets: Path, tmp_path: Path
) -> None:
    for name, text in OWN.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text.lstrip())
    done = start(
        "python -m pets", "--config-dir=conf", "experiment=mine", "data=regex", f"data.root={tiny_pets}",
        "data.presize.size=40", "data.batch_size=8", "data.num_workers=0", "model=resnet18", "model.weights=null",
        "model.head.hidden=8", "trainer=cpu", "recipe.epochs=1", "evaluate.at_end=false", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = [line.split()[-1] for line in done.stdout.splitlines() if line.startswith("an epoch has ended")]
    assert len(said) == 2  # a frozen and an unfrozen one
    assert all(0.1 < float(brightest) <= 0.5 for brightest in said)


@pytest.mark.parametrize("how", STARTS)
def test_a_sweep_with_jobs_in_processes_of_their_own_starts_from_any_of_them(
    how: str, tiny_pets: Path, tmp_path: Path
) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    done = start(
        how, "-m", "task=inspect", "seed=0,1", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "data=regex",
        f"data.root={tiny_pets}", "data.presize.size=40", "augment.size=32", "data.num_workers=0",
        "model=resnet18", "model.weights=null", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "jobs" in done.stdout
