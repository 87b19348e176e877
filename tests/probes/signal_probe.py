"""Tells the pids of a distributed run, and signals it at a moment that no test could hit from outside."""

import os
import signal
import time
from pathlib import Path
from typing import Any, Literal

from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from pets.data.presize import Presize


class Probe(Callback):
    """Leaves `rank<r>.pid`; the first process asks to stop while it writes a checkpoint (`save`), or hangs (`hang`)."""

    def __init__(self, folder: str, act: Literal["watch", "save", "hang"], step: int = 6) -> None:
        self.folder = Path(folder)
        self.act = act
        self.step = step

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        (self.folder / f"rank{trainer.global_rank}.pid").write_text(str(os.getpid()))

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        if self.act == "hang" and trainer.global_step == self.step and trainer.is_global_zero:
            (self.folder / "hangs").touch()
            time.sleep(600)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        # All processes come here; the first goes on to write the file, the others to wait for it.
        if self.act == "save" and trainer.global_step == self.step and trainer.is_global_zero:
            self.act = "watch"
            time.sleep(2)  # until the others wait, in native code that no handler of theirs interrupts
            os.kill(os.getpid(), signal.SIGTERM)


class HangingPresize(Presize):
    """Leaves `building.<pid>` in PETS_PROBE_FOLDER, and hangs, when the first image is resized."""

    def resize(self, image: Tensor) -> Tensor:
        Path(os.environ["PETS_PROBE_FOLDER"], f"building.{os.getpid()}").touch()
        time.sleep(600)
        return image
