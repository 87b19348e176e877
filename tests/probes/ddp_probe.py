"""Writes down what each process of a distributed run sees; a test starts it through the configuration."""

from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from pets.callbacks.lr_finder import LRFinder
from pets.data.batch import Batch


class Probe(Callback):
    """Records the run of one process and saves it as `rank<r>.pt`."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.seen: dict[str, list[Any]] = {name: [] for name in ("parameters", "seeds", "draws", "train", "valid")}

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        self.seen["seeds"].append(torch.initial_seed())
        self.seen["draws"].append(batch.uniforms.clone())
        self.seen["train"] += batch.indices.tolist()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        self.seen["parameters"].append(torch.cat([value.detach().flatten() for value in pl_module.parameters()]))

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.seen["valid"] += batch.indices[~batch.padding].tolist()

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.seen["valid"].clear()
        self.buffers = {name: value.clone() for name, value in pl_module.named_buffers()}

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        finder = next(callback for callback in trainer.callbacks if isinstance(callback, LRFinder))
        assert finder.curve is not None
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        record = {**self.seen, "buffers": self.buffers, "losses": finder.curve.losses, "metrics": metrics}
        torch.save(record, self.folder / f"rank{trainer.global_rank}.pt")
