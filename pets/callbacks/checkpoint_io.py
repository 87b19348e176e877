"""Checkpoints: which one is the best, and files that are either the old one or the new one, whatever happens."""

import io
import os
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

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
    """Writes beside the checkpoint, waits until the disk has it, then takes its name.

    Lightning's own goes through the folder of temporary files, from where a move is a copy if that is another disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            OSError: It cannot be written, for example because the disk is full; what was at `path` is still there.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        # torch reports a full disk as an error of its archive writer, without the reason.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        part = target.with_name(f".{target.name}.part")
        try:
            with part.open("wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        except OSError as error:
            part.unlink(missing_ok=True)
            kept = "the one before it is kept" if target.exists() else "there is none yet"
            text = f"{error.strerror}: the checkpoint cannot be written, {kept}"
            raise OSError(error.errno, text, str(target)) from error
        _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Wait until the disk has the folder's list of names; only POSIX can."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
