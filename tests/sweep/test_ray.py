"""A sweep on a Ray cluster of two nodes in this machine: a job whose process is lost ends as if it had not been."""

import csv
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

pytest.importorskip("ray")

ROOT = Path(__file__).parents[2]
SECONDS = 300
SWEEP = (
    "-m", "hydra/launcher=ray_cluster", "hydra.launcher.ray.remote.num_gpus=0", "hydra.launcher.ray.remote.num_cpus=1",
    "data=regex", "data.presize.size=40", "augment.size=32", "data.batch_size=4", "data.num_workers=0", "model=timm",
    "model.arch=test_resnet", "model.weights=null", "model.head.hidden=8", "recipe.freeze_epochs=0", "recipe.epochs=8",
    "trainer=cpu", "evaluate.at_end=false", "hydra.sweep.dir=sweep", "seed=1,2", "callbacks.dashboards.images=1,2",
    "+callbacks.probe._target_=pid_probe.Probe", "+callbacks.probe.folder=${run_dir}",
)  # fmt: skip
"""Two jobs of every seed, which differ in what they show and not in what they learn."""


@contextmanager
def node(environment: dict[str, str], *arguments: str) -> Iterator[None]:
    """Start a node of one processor in a session of its own, and end all of it afterwards."""
    command = [
        sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--node-ip-address=127.0.0.1", "--num-cpus=1",
        "--num-gpus=0", "--object-store-memory=80000000", *arguments,
    ]  # fmt: skip
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def cluster() -> Iterator[dict[str, str]]:
    """The environment in which Ray finds a cluster of two nodes on the loopback address."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{one.getsockname()[1]}"
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as folder:
        environment = os.environ | {
            "RAY_ADDRESS": address, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16),
            "RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": folder, "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT / "tests" / "probes"),
        }  # fmt: skip
        head = ["--head", f"--port={address.split(':')[1]}", "--include-dashboard=false", f"--temp-dir={folder}"]
        with node(environment, *head):
            wait_for_port(address)
            with node(environment, f"--address={address}"):
                yield environment


def wait_for_port(address: str) -> None:
    host, port = address.split(":")
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError("the head of the cluster does not listen")


def test_a_sweep_on_two_nodes_ends_in_one_leaderboard_although_a_process_is_lost(
    cluster: dict[str, str], tiny_pets: Path, tmp_path: Path
) -> None:
    sweep = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *SWEEP, f"data.root={tiny_pets}"], cwd=tmp_path, env=cluster,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    folder = tmp_path / "sweep"
    try:
        while not (folder / "0" / "history.csv").exists() and sweep.poll() is None:
            time.sleep(0.05)
        if sweep.poll() is None:
            os.kill(int((folder / "0" / "pid").read_text()), signal.SIGKILL)
        said, _ = sweep.communicate(timeout=SECONDS)
    finally:
        if sweep.poll() is None:
            os.killpg(sweep.pid, signal.SIGKILL)
            sweep.communicate()
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
