"""What TensorBoard shows besides curves: the first batch, the throughput, a card with the configuration."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import yaml
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from pets.data.batch import Batch
from pets.data.datamodule import PetsDataModule
from pets.evaluation.show import before_and_after
from pets.rules import leaves

HPARAM_GROUPS = ("seed", "data", "augment", "model", "loss", "optimizer", "recipe", "lr_finder")
NOT_HPARAMS = ("_target_", "_partial_", "_convert_", "root")
COPIES = ("data.batch_transform.", "data.seed", "model.loss.", "model.optimizer.")
"""Keys whose value stands elsewhere too."""
ALWAYS_SHOWN = ("model.arch", "recipe.base_lr", "seed")
"""First columns of the HPARAMS table, with what was typed on the command line."""
HPARAM_METRICS = ("valid/error_rate", "valid/loss", "valid/accuracy", "valid/accuracy_macro", "train/loss_epoch")
LAYOUT = {
    "1 learning": {
        "loss": ["Multiline", ["train/loss", "train/loss_epoch", "valid/loss"]],
        "error rate": ["Multiline", ["valid/error_rate"]],
    },
    "2 schedule": {
        "learning rate of each layer group": ["Multiline", ["lr/early", "lr/late", "lr/head"]],
        "momentum": ["Multiline", ["momentum/head"]],
    },
    "3 speed": {"images a second": ["Multiline", ["speed/images_per_second"]]},
}
"""The page CUSTOM SCALARS: what belongs together, in one chart."""


def writers(loggers: Iterable[Logger]) -> list[SummaryWriter]:
    """Return the TensorBoard writers among the loggers; on other ranks than the first there is none."""
    boards = (logger.experiment for logger in loggers if isinstance(logger, TensorBoardLogger))
    return [board for board in boards if isinstance(board, SummaryWriter)]


def log_card(
    loggers: Iterable[Logger], config: Mapping[str, Any], facts: Mapping[str, str], overrides: Sequence[str] = ()
) -> None:
    """Write what the run is: a card of facts, the configuration, the layout of charts, the run's one HPARAMS session.

    The session names the metrics it will find among the scalars and writes none itself, so that no curve starts with a
    made-up value.

    Args:
        loggers: The trainer's loggers.
        config: The resolved configuration.
        facts: Lines of the card.
        overrides: What was typed, `key=value` each.
    """
    card = "\n".join(["| | |", "|---|---|", *(f"| {name} | {fact} |" for name, fact in facts.items())])
    text = yaml.safe_dump(dict(config), sort_keys=False)
    typed = [override.split("=")[0].lstrip("+") for override in overrides]
    params = hyperparameters(config)
    for writer in writers(loggers):
        writer.add_text("run/1_card", card, 0)
        writer.add_text("run/2_config", "\n".join(f"    {line}" for line in text.splitlines()), 0)
        writer.add_custom_scalars(LAYOUT)  # type: ignore[no-untyped-call]
        experiment, *session = hparams(params, dict.fromkeys(HPARAM_METRICS, 0.0))  # type: ignore[no-untyped-call]
        _show_first(experiment, {*typed, *ALWAYS_SHOWN})
        for summary in (experiment, *session):
            writer._get_file_writer().add_summary(summary)  # type: ignore[no-untyped-call]


def hyperparameters(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what can differ between runs, by dotted key: no class, path, list or copy."""
    return {
        key: value
        for key, value in leaves(config)
        if key.split(".")[0] in HPARAM_GROUPS
        and isinstance(value, bool | int | float | str)
        and not key.endswith(NOT_HPARAMS)
        and not key.startswith(COPIES)
    }


def _show_first(experiment: Summary, keys: Collection[str]) -> None:
    """Mark hyperparameters as those that differ between runs, which TensorBoard sorts before the others."""
    plugin_data = experiment.value[0].metadata.plugin_data
    content = HParamsPluginData.FromString(plugin_data.content)
    for info in content.experiment.hparam_infos:
        info.differs = info.name in keys
    plugin_data.content = content.SerializeToString()


class Dashboards(Callback):
    """Show the first training batch before and after augmentation, and the images trained on a second.

    Args:
        images: How many images of the first batch are shown.
    """

    def __init__(self, images: int = 8) -> None:
        self.images = images
        self._seen = 0
        self._since = 0.0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Log the throughput as often as everything else; after the very first step, draw its batch."""
        if batch_idx == 0 and trainer.current_epoch == 0:  # not before: nobody wants to wait for a picture
            self._show_first_batch(trainer)
            self._since = time.perf_counter()
            return
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

    def _show_first_batch(self, trainer: Trainer) -> None:
        data = getattr(trainer, "datamodule", None)
        if isinstance(data, PetsDataModule) and trainer.is_global_zero:
            for writer in writers(trainer.loggers):
                writer.add_figure("batch/1_presized_2_augmented", before_and_after(data, self.images), 0)
