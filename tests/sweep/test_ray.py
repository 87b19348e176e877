"""A sweep on a Ray cluster of two nodes in this machine: a job whose process is lost ends as if it had not been."""

import csv
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT
from typing import Any

import pytest
import torch

pytest.importorskip("ray")

ROOT = Path(__file__).parents[2]
SECONDS = 300
ADDRESS = "127.0.0.1:6379"
SWEEP = (
    "-m", "hydra/launcher=ray_cluster", "hydra.launcher.ray.remote.num_gpus=0", "hydra.launcher.ray.remote.num_cpus=1",
    "data=regex", "data.presize.size=40", "augment.size=32", "data.batch_size=4", "data.num_workers=0", "model=timm",
    "model.arch=test_resnet", "model.weights=null", "model.head.hidden=8", "recipe.freeze_epochs=0", "recipe.epochs=8",
    "trainer=cpu", "evaluate.at_end=false", "hydra.sweep.dir=sweep", "seed=1,2", "callbacks.dashboards.images=1,2",
    "+callbacks.probe._target_=pid_probe.Probe", "+callbacks.probe.folder=${run_dir}",
)  # fmt: skip
"""Two jobs of every seed, which differ in what they show and not in what they learn."""


@contextmanager
def started(*command: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a program in a session of its own, and end all of it afterwards."""
    process = subprocess.Popen(command, start_new_session=True, text=True, **options)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def network() -> Iterator[list[str]]:
    """The beginning of a command that runs in a network of its own: Ray listens on every address that there is."""
    if shutil.which("nsenter") is None or subprocess.run(["unshare", "-n", "true"], check=False).returncode != 0:
        pytest.skip("a network that has nothing but 127.0.0.1 needs root and `unshare -n`")
    with started("unshare", "-n", "sh", "-c", "ip link set lo up && echo up && exec sleep 900", stdout=PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "up\n"
        yield ["nsenter", f"--net=/proc/{holder.pid}/ns/net"]


@pytest.fixture
def cluster(network: list[str]) -> Iterator[dict[str, str]]:
    """The environment in which Ray finds a cluster of two nodes with a processor each."""
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as folder:
        environment = os.environ | {
            "RAY_ADDRESS": ADDRESS, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16),
            "RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": folder, "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT / "tests" / "probes"),
        }  # fmt: skip
        ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1", "--num-gpus=0"]
        ray += ["--node-ip-address=127.0.0.1", "--object-store-memory=80000000"]
        head = [*ray, "--head", "--port=6379", "--include-dashboard=false", f"--temp-dir={folder}"]
        wait = 'until (: < "/dev/tcp/${0/:/\\/}") 2>/dev/null; do sleep 0.2; done; exec "$@"'
        other = ["bash", "-c", wait, ADDRESS, *ray, f"--address={ADDRESS}"]
        quiet: dict[str, Any] = {"env": environment, "stdout": DEVNULL, "stderr": DEVNULL}
        with started(*network, *head, **quiet), started(*network, *other, **quiet):
            subprocess.run([*network, *other[:4], "true"], check=True, timeout=SECONDS)
            yield environment


def test_a_sweep_on_two_nodes_ends_in_one_leaderboard_although_a_process_is_lost(
    network: list[str], cluster: dict[str, str], tiny_pets: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "sweep"
    command = [*network, sys.executable, str(ROOT / "train.py"), *SWEEP, f"data.root={tiny_pets}"]
    with started(*command, cwd=tmp_path, env=cluster, stdout=PIPE, stderr=STDOUT) as sweep:
        while not (folder / "0" / "history.csv").exists() and sweep.poll() is None:
            time.sleep(0.05)
        if sweep.poll() is None:
            os.kill(int((folder / "0" / "pid").read_text()), signal.SIGKILL)
        said, _ = sweep.communicate(timeout=SECONDS)
    assert sweep.returncode == 0, said
    with (folder / "leaderboard.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert not any(row["error"] for row in rows)
    assert len((folder / "0" / "pids").read_text().split()) == 2, "the job was not started again"
    for first in (0, 2):
        ours, theirs = (
            torch.load(folder / str(job) / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
            for job in (first, first + 1)
        )
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
