"""Save in the middle of an epoch and resume there: the same batches, none twice."""

from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException

from pets.data.datamodule import ImageDataModule
from pets.data.sampler import Start


class MidEpoch(Callback):
    """Save when SIGTERM ends a fit, and let every checkpoint know which batches of its epoch are done.

    SIGTERM takes effect at the end of a batch. If that is the end of a step too, the step is saved. In the middle of an
    accumulated step or of a validation nothing is: the last checkpoint stays, and what came after it is run again.

    Args:
        path: The checkpoint to write: the one that runs are resumed from.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        batches = trainer.fit_loop.epoch_loop.batch_progress
        between_steps = batches.current.ready % trainer.accumulate_grad_batches == 0 and not batches.is_last_batch
        agreed = isinstance(exception, SIGTERMException) and trainer.received_sigterm
        if agreed and trainer.training and between_steps and trainer.global_step:
            trainer.save_checkpoint(self.path)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        data = getattr(trainer, "datamodule", None)
        if isinstance(data, ImageDataModule):
            epochs: Any = trainer.fit_loop.epoch_progress.current
            batches: Any = trainer.fit_loop.epoch_loop.batch_progress
            done = 0 if batches.is_last_batch else batches.current.processed
            checkpoint["start"] = {"epoch": epochs.processed, "images": done * data.batch_size}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        data = getattr(trainer, "datamodule", None)
        if isinstance(data, ImageDataModule) and "start" in checkpoint:
            data.start = Start(**checkpoint["start"])
