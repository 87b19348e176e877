"""Checkpoints: which one is the best, writing them whole, and what a resumed fit reads from them."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Literal

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from pets.callbacks.training_state import training_state
from pets.errors import UserError
from pets.files import own_folder, replacing
from pets.model.checkpoint import read_plain
from pets.settings.metrics import checkpoint_mode
from pets.settings.training import BestCheckpoint


def best_checkpoint(
    monitor: str = "valid/error_rate", mode: Literal["min", "max"] | None = None, **options: Any
) -> ModelCheckpoint:
    """Return Lightning's callback that keeps the best checkpoint; the mode follows from the metric.

    Args:
        monitor: The metric that says what is best.
        mode: min or max, for a metric of the user's own.
        options: What else `ModelCheckpoint` takes.

    Raises:
        ValueError: As in `checkpoint_mode`.
    """
    BestCheckpoint(monitor, mode)
    return ModelCheckpoint(monitor=monitor, mode=checkpoint_mode(monitor, mode), **options)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Reads plain values, writes whole files, and removes nothing but checkpoints of the run.

    Lightning's own goes through the folder of temporary files, from where a move is a copy if that is another disk, and
    removes whatever a path of any protocol names, folders with all that is in them too.

    While a fit trains (see `SyncBeside`), training does not wait for the disk: a checkpoint is written to a file beside
    the one that it replaces, and a thread syncs it and gives it the name. All else here waits for that first.

    Args:
        folder: The run's `checkpoints/`.
        others: Further folders that the configuration names for checkpoints.

    Raises:
        FileExistsError: The folder is a link.
    """

    def __init__(self, folder: str | Path, others: Iterable[str | Path] = ()) -> None:
        if Path(folder).is_symlink():
            own_folder(Path(folder))
        self.folders = [os.path.realpath(each) for each in (folder, *others)]  # as ModelCheckpoint names its own
        self.beside = False
        """Whether the disk is not waited for."""
        self._pending: dict[Path, Future[None]] = {}

    @cached_property
    def _thread(self) -> ThreadPoolExecutor:  # made late: a spawned process gets the rest of this as a pickle
        return ThreadPoolExecutor(1, "checkpoints")

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint whole: it takes its name when the disk has it.

        Raises:
            OSError: It, or one before it, cannot be written, for example because the disk is full; what was at the path
                is still there.
        """
        target = Path(path)
        own_folder(target.parent)
        if target in self._pending or any(written.done() for written in self._pending.values()):
            self.finish()
        with _named(target), ExitStack() as stack:
            _write(checkpoint, stack.enter_context(replacing(target, sync=True)))
            # A new name is waited for: Lightning asks the disk which names are taken.
            if self.beside and target.exists():
                self._pending[target] = self._thread.submit(stack.pop_all().close)

    def finish(self) -> None:
        """Wait until the disk has every checkpoint that was saved. Raises as `save_checkpoint`."""
        pending, self._pending = self._pending, {}
        wait(pending.values())
        for target, written in pending.items():
            with _named(target):
                written.result()

    def teardown(self) -> None:
        """End a fit, whether it went well or not. Raises as `save_checkpoint`."""
        self.beside = False
        self.finish()

    def load_checkpoint(self, path: str | Path, map_location: Any = None, weights_only: bool | None = None) -> Any:
        """Read what a fit may restore from a checkpoint, see `training_state`, on the CPU.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is no checkpoint, or one that no fit can resume from; in one line.
        """
        self.finish()
        in_place = os.path.realpath(Path(path).parent) == self.folders[0]
        try:
            return training_state(read_plain(Path(path)), self.folders, in_place)
        except ValueError as error:
            raise UserError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a regular file that lies in a folder of checkpoints of the run; leave everything else."""
        self.finish()  # what takes its place is whole first
        target = Path(path)
        folder = os.path.realpath(target.parent)
        if folder in self.folders and target.name and target.is_file() and not target.is_symlink():
            os.unlink(os.path.join(folder, target.name))


class SyncBeside(Callback):
    """Lets checkpoints be synced beside the training; the end of the training, and so an evaluation, waits for them."""

    def __init__(self, files: AtomicCheckpointIO) -> None:
        self.files = files

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.files.beside = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.files.teardown()


def _write(checkpoint: dict[str, Any], stream: BinaryIO) -> None:
    try:
        torch.save(checkpoint, stream)
    except RuntimeError as error:  # torch's archive writer hides what the disk has said
        if isinstance(error.__context__, OSError):
            raise error.__context__ from error
        raise


@contextmanager
def _named(target: Path) -> Iterator[None]:
    """Let an error of the disk say in one line which checkpoint it is about."""
    try:
        yield
    except OSError as error:
        kept = "the one before it is kept" if target.exists() else "there is none yet"
        text = f"{error.strerror}: the checkpoint cannot be written, {kept}"
        raise OSError(error.errno, text, str(target)) from error
