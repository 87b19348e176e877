"""The command `pets`: where its configuration lies, and how a person adds files to it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pets.__main__ import config_dir

ROOT = Path(__file__).parents[1]
STARTS = {"python train.py": [str(ROOT / "train.py")], "python -m pets": ["-m", "pets"]}
PAGE = (ROOT / "docs" / "your_own_files.md").read_text(encoding="utf-8")


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


def test_the_files_of_the_page_add_an_experiment_a_callback_and_an_augmentation(
    tiny_pets: Path, tmp_path: Path
) -> None:
    files = dict(re.findall(r"`([\w/]+\.\w+)`:\n\n```\w+\n(.*?)```", PAGE, re.DOTALL))
    assert len(files) == 4
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    done = start(
        "python -m pets", "--config-dir=conf", "experiment=mine", "data=regex", f"data.root={tiny_pets}",
        "data.presize.size=40", "augment.size=32", "data.batch_size=8", "data.num_workers=0", "model=resnet18",
        "model.weights=null", "model.head.hidden=8", "trainer=cpu", "recipe.epochs=1",
        "evaluate.at_end=false", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = [line.split()[-1] for line in done.stdout.splitlines() if line.startswith("an epoch has ended")]
    assert len(said) == 2  # a frozen and an unfrozen one
    assert all(0.1 < float(brightest) <= 0.5 for brightest in said)


def test_a_sweep_can_run_its_jobs_in_processes_of_their_own(tiny_pets: Path, tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    done = start(
        "python -m pets", "-m", "task=inspect", "seed=0,1", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2",
        "data=regex", f"data.root={tiny_pets}", "data.presize.size=40", "augment.size=32", "data.num_workers=0",
        "model=resnet18", "model.weights=null", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "jobs" in done.stdout
