"""What a container may lack: shared memory, room on the disk. Each is tried for real, where one may mount."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SMALL = (
    "data=regex", "data.presize.size=40", "augment.size=32", "model=timm", "model.arch=test_resnet",
    "model.weights=null", "trainer=cpu", "evaluate.at_end=false", "recipe.epochs=1",
)  # fmt: skip


def mounted(size: str, at: Path, prepare: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Train in a file system of its own, with a small memory disk at a folder that no other process sees."""
    allowed = subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", str(at)], capture_output=True, check=False
    )
    if allowed.returncode != 0:
        pytest.skip("mounting needs root and `unshare -m`")
    script = f'mount -t tmpfs -o size={size} tmpfs "$1"; {prepare} shift; exec "$@"'
    train = [sys.executable, str(ROOT / "train.py"), *SMALL, *arguments]
    return subprocess.run(
        ["unshare", "-m", "bash", "-c", script, "bash", str(at), *train],
        capture_output=True, text=True, check=False, timeout=200, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def test_a_container_with_little_shared_memory_gets_fewer_workers_and_a_word(tiny_pets: Path, tmp_path: Path) -> None:
    done = mounted(
        "100k", Path("/dev/shm"), "", f"data.root={tiny_pets}", "data.batch_size=6", "data.num_workers=2",
        f"hydra.run.dir={tmp_path}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("/dev/shm has room for 0 of 2 loader workers") == 1
    assert "--shm-size" in done.stdout


def test_a_disk_that_is_full_before_the_run_is_one_line_that_names_the_folder(tiny_pets: Path, tmp_path: Path) -> None:
    done = mounted("12k", tmp_path, "", f"data.root={tiny_pets}", f"hydra.run.dir={tmp_path}/run")
    assert done.returncode == 2
    assert done.stderr == f"error: hydra.run.dir={tmp_path}/run cannot be written: No space left on device\n"


def test_a_disk_that_fills_up_is_a_line_for_the_log_and_one_for_the_run(tiny_pets: Path, tmp_path: Path) -> None:
    done = mounted(
        "400k", tmp_path, 'head -c 250k /dev/zero > "$1/filler";', f"data.root={tiny_pets}", "data.batch_size=2",
        "data.num_workers=0", "callbacks.last=null", "callbacks.checkpoint=null", "trainer.log_every_n_steps=1",
        f"hydra.run.dir={tmp_path}/run",
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    *warnings, error = done.stderr.splitlines()
    assert error == f"error: [Errno 28] No space left on device: '{tmp_path}/run'"
    assert warnings in ([], [f"warning: {tmp_path}/run/train.log is not written any more: No space left on device"])
