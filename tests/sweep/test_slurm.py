"""A sweep on a real SLURM of one node in this machine: queued again, preempted, warned, and the same to the bit.

PETS_SLURM_JOBS=20 sweeps that many jobs, each a process that imports all of torch.
"""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.probes import slurm_cluster

ROOT = Path(__file__).parents[2]
JOBS = int(os.environ.get("PETS_SLURM_JOBS", "8"))
HELD = (1, 3, 5)
"""Jobs that wait in the middle of an epoch until something stops them; the jobs before them are their like."""
SWEEP = (
    "-m", "hydra/launcher=slurm", "hydra.launcher.gpus_per_node=null", "hydra.launcher.mem_gb=null",
    "hydra.launcher.cpus_per_task=1", "hydra.launcher.timeout_min=30", "data=regex", "data.presize.size=40",
    "augment.size=32", "data.batch_size=4", "data.num_workers=0", "model=timm", "model.arch=test_resnet",
    "model.weights=null", "model.head.hidden=8", "recipe.freeze_epochs=0", "recipe.epochs=2", "trainer=cpu",
    "evaluate.at_end=false", "hydra.sweep.dir=sweep", f"seed=range({JOBS // 2})", "callbacks.dashboards.images=1,2",
    "+callbacks.gate._target_=gate_probe.Gate", "+callbacks.gate.run=${run_dir}", f"+callbacks.gate.jobs={list(HELD)}",
)  # fmt: skip
"""Two jobs of every seed, which differ in what they show and not in what they learn."""
SECONDS = 600


@pytest.mark.timeout(2 * SECONDS)
def test_a_sweep_with_three_interrupted_jobs_ends_in_one_leaderboard(tiny_pets: Path, tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    if why := slurm_cluster.missing():
        pytest.skip(why)
    with slurm_cluster.cluster(tmp_path / "cluster", cpus=3) as environment:
        environment |= {
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "probes")]),
        }
        sweep = subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *SWEEP, f"data.root={tiny_pets}"],
            cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True,
        )  # fmt: skip
        try:
            folder = tmp_path / "sweep"
            first, second, third = HELD
            meet(folder, sweep, first, "scontrol", "requeue", f"1_{first}", env=environment)
            meet(folder, sweep, second, "scancel", "--signal=USR2", f"1_{second}", env=environment)
            # A job that is preempted before it listens to signals, or after, ends: only the one that waits is left.
            wait_until(lambda: queued(environment) == [f"1_{third}"], sweep)
            meet(folder, sweep, third, "srun", "-phigh", "-n3", "true", env=environment)
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
    for name, job in zip(("SIGUSR2", "SIGTERM"), HELD[1:], strict=True):
        log = (folder / str(job) / "train.log").read_text()
        assert f"stopped by {name}; the job is queued again" in log
    for first in range(0, JOBS, 2):
        ours, theirs = (weights(folder / str(job)) for job in (first, first + 1))
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs), f"jobs {first} and {first + 1} differ"


def meet(folder: Path, sweep: "subprocess.Popen[str]", job: int, *command: str, env: dict[str, str]) -> None:
    """Run a command of SLURM once a job waits in the middle of an epoch, and return when the job has stopped."""
    wait_until(lambda: (folder / str(job) / "waits").exists(), sweep)
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: "stopped by" in (folder / str(job) / "train.log").read_text(), sweep)
            if command[0] != "scancel":  # which would go on to signal the job when it has started again
                process.wait(SECONDS)
        finally:
            process.kill()


def queued(env: dict[str, str]) -> list[str]:
    """Return the jobs that wait or run."""
    command = ["squeue", "--noheader", "--array", "--format=%i"]
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout.split()


def wait_until(condition: Callable[[], bool], sweep: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert sweep.poll() is None, sweep.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.2)


def weights(job: Path) -> dict[str, torch.Tensor]:
    return torch.load(job / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
