"""Holds a run in the middle of an epoch until a signal comes; a test starts it through the configuration."""

import time
from collections.abc import Collection
from pathlib import Path

from lightning import Callback, LightningModule, Trainer

from pets.callbacks.stop import StopTogether


class Gate(Callback):
    """Waits once, before the third batch of the second epoch, in runs whose folders have certain numbers as names.

    Leaves `waits` in the run's folder. A run that is resumed does not wait again.
    """

    def __init__(self, run: str, jobs: Collection[int]) -> None:
        self.waits = Path(run) / "waits"
        self.held = int(self.waits.parent.name) in jobs

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        if not self.held or (trainer.current_epoch, batch_idx) != (1, 2) or self.waits.exists():
            return
        self.waits.touch()
        stop = next(callback for callback in trainer.callbacks if isinstance(callback, StopTogether))
        while stop.signals.received is None:
            time.sleep(0.05)
