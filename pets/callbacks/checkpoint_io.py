"""Checkpoints: which one is the best, writing them whole, and what a resumed fit reads from them."""

import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from pets.callbacks.training_state import training_state
from pets.errors import UserError
from pets.files import own_folder, write_bytes
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

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint, and wait until the disk has it before it takes its name.

        Raises:
            OSError: It cannot be written, for example because the disk is full; what was at `path` is still there.
        """
        target = Path(path)
        own_folder(target.parent)
        # torch reports a full disk as an error of its archive writer, without the reason.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        try:
            write_bytes(target, content.getbuffer(), sync=True)
        except OSError as error:
            kept = "the one before it is kept" if target.exists() else "there is none yet"
            text = f"{error.strerror}: the checkpoint cannot be written, {kept}"
            raise OSError(error.errno, text, str(target)) from error

    def load_checkpoint(self, path: str | Path, map_location: Any = None, weights_only: bool | None = None) -> Any:
        """Read what a fit may restore from a checkpoint, see `training_state`, on the CPU.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is no checkpoint, or one that no fit can resume from; in one line.
        """
        in_place = os.path.realpath(Path(path).parent) == self.folders[0]
        try:
            return training_state(read_plain(Path(path)), self.folders, in_place)
        except ValueError as error:
            raise UserError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a regular file that lies in a folder of checkpoints of the run; leave everything else."""
        target = Path(path)
        folder = os.path.realpath(target.parent)
        if folder in self.folders and target.name and target.is_file() and not target.is_symlink():
            os.unlink(os.path.join(folder, target.name))
