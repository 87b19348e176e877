"""The best checkpoint is that of the metric; a file is the old one or the new one, whatever happens."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from pets.callbacks.checkpoint_io import AtomicCheckpointIO, best_checkpoint

OLD, NEW = {"weights": torch.zeros(1000)}, {"weights": torch.ones(1000)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A checkpoint that is there already."""
    path = tmp_path / "checkpoints" / "last.ckpt"
    AtomicCheckpointIO(path.parent).save_checkpoint(OLD, path)
    return path


def holds(path: Path, content: dict[str, torch.Tensor]) -> bool:
    return torch.equal(torch.load(path, weights_only=True)["weights"], content["weights"])


def test_a_checkpoint_is_replaced_and_nothing_else_is_left(path: Path) -> None:
    AtomicCheckpointIO(path.parent).save_checkpoint(NEW, path)
    assert holds(path, NEW)
    assert list(path.parent.iterdir()) == [path]


def test_the_new_one_is_whole_on_the_disk_before_it_takes_the_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    plain_sync, plain_replace = os.fsync, Path.replace

    def sync(descriptor: int) -> None:
        done.append("sync")
        plain_sync(descriptor)

    def replace(part: Path, target: Path) -> Path:
        done.append("replace")
        return plain_replace(part, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    AtomicCheckpointIO(path.parent).save_checkpoint(NEW, path)
    assert done == ["sync", "replace", "sync"]


@pytest.mark.parametrize("call", ["torch.save", "os.fsync", "pathlib.Path.replace"])
def test_a_kill_during_the_write_leaves_the_one_before(path: Path, call: str) -> None:
    """The process ends inside of a call that writes, without a chance to clean up."""
    code = (
        "import os, pathlib, sys, torch\n"
        "from pets.callbacks.checkpoint_io import AtomicCheckpointIO\n"
        f"{call} = lambda *args: os._exit(9)\n"
        "AtomicCheckpointIO(sys.argv[2]).save_checkpoint({'weights': torch.ones(1000)}, sys.argv[1])\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path), str(path.parent)], check=False).returncode == 9
    assert holds(path, OLD)
    AtomicCheckpointIO(path.parent).save_checkpoint(NEW, path)
    assert holds(path, NEW)
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_is_one_line_and_leaves_the_one_before(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=r"No space left on device: .*, the one before it is kept: '"):
            AtomicCheckpointIO(path.parent).save_checkpoint(NEW, path)
    assert holds(path, OLD)
    assert list(path.parent.iterdir()) == [path]


def test_a_limit_on_the_size_of_files_is_met_while_writing(path: Path) -> None:
    code = (
        "import resource, signal, sys, torch\n"
        "from pets.callbacks.checkpoint_io import AtomicCheckpointIO\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))\n"
        "try:\n"
        "    AtomicCheckpointIO(sys.argv[2]).save_checkpoint({'weights': torch.ones(9000)}, sys.argv[1])\n"
        "except OSError as error:\n"
        "    sys.exit(error.errno)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path), str(path.parent)], check=False)
    assert done.returncode == errno.EFBIG
    assert holds(path, OLD)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(("monitor", "mode"), [("valid/error_rate", "min"), ("valid/accuracy_macro", "max")])
def test_the_best_checkpoint_follows_its_metric_and_is_known_by_lightnings_name(monitor: str, mode: str) -> None:
    callback, lightnings = best_checkpoint(monitor), ModelCheckpoint(monitor=monitor, mode=mode)
    assert callback.mode == mode
    assert callback.state_key == lightnings.state_key, "a checkpoint of another version finds its callback's state"
