"""What TensorBoard shows besides curves: the first batch, the throughput, a card with the configuration."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from pets.data.batch import Batch
from pets.data.datamodule import PetsDataModule
from pets.evaluation.show import before_and_after
from pets.rules import leaves

HPARAM_GROUPS = ("seed", "data", "augment", "model", "loss", "optimizer", "recipe", "lr_finder")
HPARAM_METRICS = ("valid/error_rate", "valid/loss", "valid/accuracy", "valid/accuracy_macro", "train/loss_epoch")


def writers(loggers: Iterable[Logger]) -> list[SummaryWriter]:
    """Return the TensorBoard writers among the loggers; on other ranks than the first there is none."""
    boards = (logger.experiment for logger in loggers if isinstance(logger, TensorBoardLogger))
    return [board for board in boards if isinstance(board, SummaryWriter)]


def log_card(loggers: Iterable[Logger], config: Mapping[str, Any]) -> None:
    """Write the configuration as text and open the run's one HPARAMS session.

    The session names the metrics it will find among the scalars and writes none itself, so that no curve starts with a
    made-up value.
    """
    text = yaml.safe_dump(dict(config), sort_keys=False)
    params = {
        key: value for key, value in leaves(config) if key.split(".")[0] in HPARAM_GROUPS and _is_hparam(key, value)
    }
    for writer in writers(loggers):
        writer.add_text("run/config", "\n".join(f"    {line}" for line in text.splitlines()), 0)
        for summary in hparams(params, dict.fromkeys(HPARAM_METRICS, 0.0)):  # type: ignore[no-untyped-call]
            writer._get_file_writer().add_summary(summary)  # type: ignore[no-untyped-call]


def _is_hparam(key: str, value: Any) -> bool:
    """Tell whether a value can differ between runs: not a class, a path or a list."""
    return isinstance(value, bool | int | float | str) and not key.endswith(("_target_", "_partial_", "root"))


class Dashboards(Callback):
    """Show the first training batch before and after augmentation, and the images trained on a second.

    Args:
        images: How many images of the first batch are shown.
    """

    def __init__(self, images: int = 8) -> None:
        self.images = images
        self._seen = 0
        self._since = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the figure of the first batch, and start the clock."""
        data = getattr(trainer, "datamodule", None)
        if isinstance(data, PetsDataModule) and trainer.is_global_zero and trainer.global_step == 0:
            for writer in writers(trainer.loggers):
                writer.add_figure("batch/1_presized_2_augmented", before_and_after(data, self.images), 0)
        self._seen, self._since = 0, time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Log the throughput as often as everything else."""
        self._seen += len(batch.targets) * trainer.world_size
        if trainer.global_step and trainer.global_step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            now = time.perf_counter()
            for logger in trainer.loggers:
                logger.log_metrics({"speed/images_per_second": self._seen / (now - self._since)}, trainer.global_step)
            self._seen, self._since = 0, now

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock: validation is not training."""
        self._seen = 0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock again."""
        self._seen, self._since = 0, time.perf_counter()
