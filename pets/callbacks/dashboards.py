"""What TensorBoard shows besides curves: the first batch, the throughput, a card with the configuration."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from pets.data.batch import Batch
from pets.data.datamodule import ImageDataModule
from pets.evaluation.figures.batches import before_and_after
from pets.settings import training as settings
from pets.settings.config import leaves
from pets.settings.metrics import CURVES

HPARAM_GROUPS = ("seed", "data", "augment", "model", "loss", "optimizer", "recipe", "lr_finder")
NOT_HPARAMS = ("_target_", "_partial_", "_convert_", "root")
COPIES = ("data.batch_transform.", "data.seed", "model.loss.", "model.optimizer.")
"""Keys whose value stands elsewhere too."""
COLUMNS = (
    "recipe.base_lr", "model.arch", "seed", "augment.size", "data.batch_size", "recipe.epochs", "recipe.freeze_epochs",
    "recipe.lr_mult", "augment.mix", "data.presize.size", "data.split.seed", "loss.label_smoothing",
    "model.head.dropout", "optimizer.weight_decay",
)  # fmt: skip
"""What the HPARAMS table offers besides what was typed on the command line; a list of all keys would hide these."""
SHOWN = 5
"""Columns of hyperparameters that the HPARAMS table shows unasked."""
HPARAM_METRICS = sorted((tag for tag in CURVES if CURVES[tag].hparams), key=lambda tag: tag.startswith("train/"))
"""Metric columns of the HPARAMS table, validation first."""
CHARTS = dict.fromkeys(metric.chart for metric in CURVES.values() if metric.chart)
LAYOUT = {
    "1 learning": {
        chart: ["Multiline", [f"{tag}$" for tag, metric in CURVES.items() if metric.chart == chart]] for chart in CHARTS
    },
    "2 schedule and speed": {
        "learning rate of each layer group": ["Multiline", ["lr/early$", "lr/late$", "lr/head$"]],
        "momentum": ["Multiline", ["momentum/head$"]],
        "images a second": ["Multiline", ["speed/images_per_second$"]],
    },
}
"""The page CUSTOM SCALARS: what belongs together, in one chart; tags are regular expressions."""


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
    rows = [f"| {name} | {fact} |" for name, fact in facts.items()]
    card = "\n".join([*rows[:1], "|---|---|", *rows[1:]])
    text = yaml.safe_dump(dict(config), sort_keys=False)
    typed = typed_hyperparameters(overrides)
    params = typed | hyperparameters(config)
    for writer in writers(loggers):
        writer.add_text("run/1_card", card, 0)
        writer.add_text("run/2_config", "\n".join(f"    {line}" for line in text.splitlines()), 0)
        writer.add_custom_scalars(LAYOUT)  # type: ignore[no-untyped-call]
        experiment, *session = hparams(params, dict.fromkeys(HPARAM_METRICS, 0.0))  # type: ignore[no-untyped-call]
        _choose_columns(experiment, list(typed))
        for summary in (experiment, *session):
            writer._get_file_writer().add_summary(summary)  # type: ignore[no-untyped-call]


def hyperparameters(config: Mapping[str, Any]) -> dict[str, float | str]:
    """Return what can differ between runs, by dotted key: no class, path, list or copy."""
    return {
        key: _shown(key, value)
        for key, value in leaves(config)
        if _is_hyperparameter(key) and isinstance(value, bool | int | float | str)
    }


def typed_hyperparameters(overrides: Iterable[str]) -> dict[str, float | str]:
    """Return the hyperparameters of a command line, among them chosen files (`augment=strong`) and parts of lists."""
    pairs = (override.lstrip("+").partition("=") for override in overrides)
    return {key: _number_or_text(value) for key, _, value in pairs if _is_hyperparameter(key)}


def _is_hyperparameter(key: str) -> bool:
    return key.split(".")[0] in HPARAM_GROUPS and not key.endswith(NOT_HPARAMS) and not key.startswith(COPIES)


def _shown(key: str, value: float | str) -> float | str:
    """Return text for what is no quantity: TensorBoard writes the seed 1 as 1.0000."""
    return str(value) if isinstance(value, bool) or key.endswith("seed") else value


def _number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _choose_columns(experiment: Summary, typed: Sequence[str]) -> None:
    """Keep the columns that matter and mark the first of them, which TensorBoard then shows before the others."""
    plugin_data = experiment.value[0].metadata.plugin_data
    content = HParamsPluginData.FromString(plugin_data.content)
    infos = {info.name: info for info in content.experiment.hparam_infos}
    names = [name for name in dict.fromkeys((*typed, *COLUMNS)) if name in infos]
    for name in names[: max(SHOWN, len(typed))]:
        infos[name].differs = True
    kept = [infos[name] for name in names]
    del content.experiment.hparam_infos[:]
    content.experiment.hparam_infos.extend(kept)
    plugin_data.content = content.SerializeToString()


class Dashboards(Callback):
    """Show the first training batch before and after augmentation, and the images trained on a second.

    Args:
        images: How many images of the first batch are shown.
    """

    def __init__(self, images: int = 8) -> None:
        settings.Dashboards(images)
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
        if isinstance(data, ImageDataModule) and trainer.is_global_zero:
            for writer in writers(trainer.loggers):
                writer.add_figure("batch/presized_and_augmented", before_and_after(data, self.images), 0)
