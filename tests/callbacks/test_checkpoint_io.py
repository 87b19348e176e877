"""The best checkpoint is that of the metric; a file is the old one or the new one, whatever happens."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from pets.callbacks.checkpoint_io import AtomicCheckpointIO, SyncBeside, best_checkpoint

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


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Event]:
    """A disk that syncs nothing until it is told to."""
    ready, sync = Event(), os.fsync

    def late(descriptor: int) -> None:
        assert ready.wait(60)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", late)
    yield ready
    ready.set()


@pytest.fixture
def beside(path: Path) -> Iterator[AtomicCheckpointIO]:
    """As it is while a fit trains."""
    files = AtomicCheckpointIO(path.parent)
    SyncBeside(files).on_train_start(None, None)  # type: ignore[arg-type]
    yield files
    files.teardown()


def test_training_goes_on_while_the_disk_syncs_what_was_saved(
    path: Path, beside: AtomicCheckpointIO, disk: Event
) -> None:
    weights = torch.ones(1000)
    beside.save_checkpoint({"weights": weights}, path)
    weights.zero_().sub_(1)  # the next step
    assert holds(path, OLD), "the name is given to what the disk has"
    disk.set()
    SyncBeside(beside).on_train_end(None, None)  # type: ignore[arg-type]
    assert holds(path, NEW), "whatever comes after the training finds it"
    assert not beside.beside
    assert list(path.parent.iterdir()) == [path]


def test_a_name_that_is_new_is_taken_at_once(path: Path, beside: AtomicCheckpointIO) -> None:
    beside.save_checkpoint(NEW, path.with_name("epoch=1.ckpt"))
    assert holds(path.with_name("epoch=1.ckpt"), NEW)


def test_what_takes_the_place_of_a_checkpoint_is_whole_before_that_is_removed(
    path: Path, beside: AtomicCheckpointIO, disk: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = path.with_name("old.ckpt")
    path.rename(old)
    path.touch()
    unlinked, unlink = [], os.unlink

    def look_and_unlink(file: Any, **options: Any) -> None:
        unlinked.append((Path(file).name, holds(path, NEW)))
        unlink(file, **options)

    beside.save_checkpoint(NEW, path)
    monkeypatch.setattr(os, "unlink", look_and_unlink)
    disk.set()
    beside.remove_checkpoint(old)
    assert unlinked == [("old.ckpt", True)]


@pytest.mark.parametrize("then", ["save", "load", "remove", "teardown"])
def test_what_fails_beside_the_training_ends_it_with_the_next_call(
    path: Path, beside: AtomicCheckpointIO, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    calls = {
        "save": lambda: beside.save_checkpoint(NEW, path),
        "load": lambda: beside.load_checkpoint(path),
        "remove": lambda: beside.remove_checkpoint(path),
        "teardown": beside.teardown,
    }
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        beside.save_checkpoint(NEW, path)
        with pytest.raises(OSError, match=r"No space left on device: .*, the one before it is kept: '"):
            calls[then]()
    assert holds(path, OLD)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(("monitor", "mode"), [("valid/error_rate", "min"), ("valid/accuracy_macro", "max")])
def test_the_best_checkpoint_follows_its_metric_and_is_known_by_lightnings_name(monitor: str, mode: str) -> None:
    callback, lightnings = best_checkpoint(monitor), ModelCheckpoint(monitor=monitor, mode=mode)
    assert callback.mode == mode
    assert callback.state_key == lightnings.state_key, "a checkpoint of another version finds its callback's state"
