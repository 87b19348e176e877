"""Tells which processes have trained a job of a sweep; a test starts it through the configuration."""

import os
from pathlib import Path

from lightning import Callback, LightningModule, Trainer


class Probe(Callback):
    """Leaves `pid` of the one that trains, and adds it to `pids`."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        (self.folder / "pid").write_text(str(os.getpid()))
        with (self.folder / "pids").open("a") as file:
            file.write(f"{os.getpid()}\n")
