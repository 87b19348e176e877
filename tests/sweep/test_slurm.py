"""A sweep on a real SLURM of one node in this machine: queued again, preempted, warned, and the same to the bit."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from tests.probes import slurm_cluster

ROOT = Path(__file__).parents[2]
JOBS = 20
SWEEP = (
    "-m", "hydra/launcher=slurm", "hydra.launcher.gpus_per_node=null", "hydra.launcher.mem_gb=null",
    "hydra.launcher.cpus_per_task=1", "hydra.launcher.timeout_min=30", "data=regex", "data.presize.size=40",
    "augment.size=32", "data.batch_size=4", "data.num_workers=0", "model=timm", "model.arch=test_resnet",
    "model.weights=null", "model.head.hidden=8", "recipe.freeze_epochs=0", "recipe.epochs=16", "trainer=cpu",
    "evaluate.at_end=false", "hydra.sweep.dir=sweep", f"seed=range({JOBS // 2})", "callbacks.dashboards.images=1,2",
)  # fmt: skip
"""Two jobs of every seed, which differ in what they show and not in what they learn."""
SECONDS = 600


@pytest.mark.timeout(2 * SECONDS)
def test_a_sweep_of_twenty_jobs_three_of_them_interrupted_ends_in_one_leaderboard(
    tiny_pets: Path, tmp_path: Path
) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    if "PETS_CLUSTERS" not in os.environ:
        pytest.skip("starts a SLURM cluster, minutes with nothing beside it: set PETS_CLUSTERS=1")
    if why := slurm_cluster.missing():
        pytest.skip(why)
    with slurm_cluster.cluster(tmp_path / "cluster", cpus=3) as environment:
        sweep = subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *SWEEP, f"data.root={tiny_pets}"],
            cwd=tmp_path, env=environment | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True,
        )  # fmt: skip
        try:
            folder = tmp_path / "sweep"
            interrupted = [
                interrupt(folder, sweep, lambda job: slurm("scontrol", "requeue", f"1_{job}", env=environment)),
                interrupt(folder, sweep, lambda job: slurm("scancel", "--signal=USR2", f"1_{job}", env=environment)),
                # Needs all processors, so that every job that runs now has to make room.
                interrupt(folder, sweep, lambda job: slurm("srun", "-phigh", "-n3", "true", env=environment)),
            ]
            said, _ = sweep.communicate(timeout=SECONDS)
        finally:
            if sweep.poll() is None:
                os.killpg(sweep.pid, signal.SIGKILL)
                sweep.communicate()
    assert sweep.returncode == 0, said
    with (folder / "leaderboard.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == JOBS
    assert not any(row["error"] for row in rows)
    assert len(set(interrupted)) == 3
    for name, job in zip(("SIGUSR2", "SIGTERM"), interrupted[1:], strict=True):
        log = (folder / str(job) / "train.log").read_text()
        assert f"stopped by {name}; the job is queued again" in log
    for first in range(0, JOBS, 2):
        ours, theirs = (weights(folder / str(job)) for job in (first, first + 1))
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs), f"jobs {first} and {first + 1} differ"


def interrupt(folder: Path, sweep: "subprocess.Popen[str]", act: Callable[[int], None]) -> int:
    """Do something to a job that is in the middle of its training, and return its number when it has stopped."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and sweep.poll() is None:
        for job in range(JOBS):
            started, ended = folder / str(job) / "history.csv", folder / str(job) / "checkpoints" / "best.ckpt"
            if ended.exists() and len(started.read_text().splitlines()) <= 11 and not stopped(folder / str(job)):
                act(job)
                wait_until(partial(stopped, folder / str(job)))
                return job
        time.sleep(0.02)
    raise AssertionError("no job was met in the middle of its training")


def stopped(job: Path) -> bool:
    return "stopped by" in (job / "train.log").read_text()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def slurm(*command: str, env: dict[str, str]) -> None:
    """Start a command of SLURM; the job tells what came of it: scancel fails for a job that ends because of it."""
    subprocess.run(["setsid", "--fork", *command], env=env, check=True, capture_output=True)


def weights(job: Path) -> dict[str, torch.Tensor]:
    return torch.load(job / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
