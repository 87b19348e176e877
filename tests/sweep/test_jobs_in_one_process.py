"""The jobs of a sweep share a process, and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sweep(tiny_pets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep whose last job is its first one once more."""
    folder = tmp_path_factory.mktemp("sweep")
    command = [
        "-m", "seed=1,2,1", "data=regex", f"data.root={tiny_pets}", "data.presize.size=40", "augment.size=32",
        "data.batch_size=8", "data.num_workers=1", "model=timm", "model.arch=test_resnet", "model.weights=null",
        "model.head.hidden=8", "recipe.epochs=1", "evaluate.top_losses=1", "trainer=cpu", f"hydra.sweep.dir={folder}",
        "+hydra.callbacks.probe._target_=sweep_probe.Probe",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests" / "probes")}
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *command], cwd=folder, env=environment, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def test_a_job_equals_the_same_job_in_a_process_of_its_own(sweep: Path) -> None:
    first, second, third = (
        torch.load(sweep / str(job) / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for job in range(3)
    )
    assert all(torch.equal(first[name], third[name]) for name in first)
    assert not all(torch.equal(first[name], second[name]) for name in first)


def test_a_job_leaves_no_files_threads_or_figures_open(sweep: Path) -> None:
    holds = [json.loads(line) for line in (sweep / "holds.jsonl").read_text().splitlines()]
    assert len(holds) == 3
    assert holds[2]["files"] <= holds[1]["files"]
    assert holds[2]["threads"] <= holds[1]["threads"]
    assert holds[2]["figures"] == 0


def test_every_job_has_a_folder_with_one_run_in_tensorboard(sweep: Path) -> None:
    for job in range(3):
        assert len(list((sweep / str(job)).rglob("events.out.tfevents.*"))) == 1
