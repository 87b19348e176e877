"""Seed torch's global generator, which dropout uses, as a function of (seed, epoch, batch, rank)."""

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from pets.data.rng import Stream, generator
from pets.settings.run import Run


class StepSeed(Callback):
    """Seed torch (CPU and accelerators) before every training batch from (seed, epoch, batch, rank).

    Seeding once an epoch is not enough for an exact resume: a loader's iterator draws from the same generator, and
    after a resume it does so at another moment.

    Args:
        seed: The run's seed, 0 or more.

    Raises:
        ValueError: If the seed is negative.
    """

    def __init__(self, seed: int) -> None:
        Run(seed=seed)
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        rng = generator(self.seed, Stream.STEP, trainer.current_epoch, batch_idx, trainer.global_rank)
        torch.manual_seed(int(rng.integers(2**63)))
