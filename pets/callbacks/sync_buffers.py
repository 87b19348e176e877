"""Share batch norm statistics before an evaluation, so that all processes evaluate the network that is saved."""

import torch
from lightning import Callback, LightningModule, Trainer


class SyncBuffers(Callback):
    """Copy the first process's buffers to the others before an evaluation.

    Without synchronised batch norm every process collects running statistics of its own share of the images, while
    checkpoints hold those of the first.
    """

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._copy(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._copy(trainer, pl_module)

    def _copy(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.world_size > 1:
            for buffer in pl_module.buffers():
                torch.distributed.broadcast(buffer, src=0)
