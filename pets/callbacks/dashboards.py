"""What loggers show besides curves: the first batch, the throughput, a card with the configuration."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger

from pets.callbacks.boards import PICTURES, boards, log_figure
from pets.callbacks.one_cycle import OneCycle, layer_names
from pets.data.batch import Batch
from pets.data.datamodule import ImageDataModule
from pets.escape import markdown, printable
from pets.evaluation.figures.batches import before_and_after, show_batch
from pets.evaluation.figures.schedule import schedule_figure
from pets.evaluation.figures.style import write_figure
from pets.files import or_warn
from pets.settings import training as settings
from pets.settings.config import leaves
from pets.settings.metrics import CURVES

HPARAM_GROUPS = ("seed", "data", "augment", "model", "loss", "optimizer", "recipe", "lr_finder", "ema")
NOT_HPARAMS = ("_target_", "_partial_", "_convert_", "root")
UNIMPORTANT = ("data.num_workers", "data.cache")
"""What never decides a result."""
CHOICES = ("model", "recipe")
"""Groups whose chosen file is a hyperparameter."""
COPIES = ("data.batch_transform.", "data.seed", "model.loss.", "model.optimizer.")
"""Keys whose value stands elsewhere too."""
PADDING = 20
"""Characters of room beside the names on the card."""
COLUMNS = (
    "recipe.base_lr", "model.arch", "seed", "augment.size", "data.batch_size", "recipe.epochs", "recipe.freeze_epochs",
    "recipe.lr_mult", "augment.mix", "data.presize.size", "data.split.seed", "loss.label_smoothing",
    "model.head.dropout", "optimizer.weight_decay",
)  # fmt: skip
"""What the HPARAMS table offers besides what was typed on the command line; a list of all keys would hide these."""
HPARAM_METRICS = sorted((tag for tag in CURVES if CURVES[tag].hparams), key=lambda tag: tag.startswith("train/"))
"""Metric columns of the HPARAMS table, validation first."""
CHARTS = dict.fromkeys(metric.chart for metric in CURVES.values() if metric.chart)
LAYOUT = {
    "1 learning": {
        chart: ["Multiline", [f"{tag}$" for tag, metric in CURVES.items() if metric.chart == chart]] for chart in CHARTS
    },
    "2 schedule and speed": {
        "learning rate of each layer group": ["Multiline", ["lr/.+$"]],
        "momentum": ["Multiline", ["momentum$"]],
        "images a second": ["Multiline", ["speed/images_per_second$"]],
    },
}
"""The page CUSTOM SCALARS: what belongs together, in one chart; tags are regular expressions."""


@dataclass(eq=False)
class RunCard(Callback):
    """Log once, when training starts, what a run is: facts, configuration, charts, hyperparameters.

    The learning rate is the one that the run has, found by the LR finder or not.
    """

    config: Mapping[str, Any]
    """The resolved configuration."""
    facts: Mapping[str, str]
    """Lines of the card."""
    overrides: Sequence[str] = ()
    """What was typed, `key=value` each."""
    choices: Mapping[str, str] = field(default_factory=dict)
    """The file chosen of each group of the configuration."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the card."""
        if trainer.is_global_zero:
            one_cycle = next((one for one in trainer.callbacks if isinstance(one, OneCycle)), None)  # type: ignore[attr-defined]
            self.write(trainer.loggers, one_cycle.recipe.base_lr if one_cycle else None)

    def write(self, loggers: Iterable[Logger], base_lr: float | None = None) -> None:
        """Write the card into some loggers, with a base learning rate if there is one."""
        typed = typed_hyperparameters(self.overrides)
        chosen = {group: self.choices[group] for group in CHOICES if group in self.choices}
        found = {} if base_lr is None else {"recipe.base_lr": base_lr}
        params = typed | chosen | hyperparameters(self.config) | found
        columns = [name for name in dict.fromkeys((*typed, *chosen, *COLUMNS)) if name in params]
        card = card_text(self.facts, self.overrides)
        text = yaml.safe_dump(dict(self.config), sort_keys=False)
        for board in boards(loggers):
            board.text("run/1_card", card)
            board.text("run/2_config", "\n".join(f"    {printable(line)}" for line in text.splitlines()))
            board.charts(LAYOUT)
            board.hyperparameters(params, columns, HPARAM_METRICS)


def card_text(facts: Mapping[str, str], overrides: Sequence[str]) -> str:
    """Return in Markdown what was typed, an override a line, and below it a table of facts, the first as its head."""
    command = "\n".join(["    python train.py", *(f"      {printable(override)}" for override in overrides)])
    # TensorBoard lets a long cell squeeze the one beside it until its words break: the padding gives way before them.
    facts = {name: fact for name, fact in facts.items() if name != "command"}
    rows = [f"| {name}{'&nbsp;' * PADDING} | {markdown(fact)} |" for name, fact in facts.items()]
    return "\n".join([command, "", *rows[:1], "|---|---|", *rows[1:]])


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
    known = key.split(".")[0] in HPARAM_GROUPS and key not in UNIMPORTANT
    return known and not key.endswith(NOT_HPARAMS) and not key.startswith(COPIES)


def _shown(key: str, value: float | str) -> float | str:
    """Return text for what is no quantity: TensorBoard writes the seed 1 as 1.0000."""
    return str(value) if isinstance(value, bool) or key.endswith("seed") else value


def _number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


class Dashboards(Callback):
    """Show the first training batch before and after augmentation, and the images trained on a second.

    The batch as the network gets it lies in the run folder too, as show_batch.png.

    Args:
        images: How many images of the first batch are shown.
    """

    def __init__(self, images: int = 3) -> None:
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

    def _show_schedule(self, trainer: Trainer) -> None:
        one_cycle = next((one for one in trainer.callbacks if isinstance(one, OneCycle)), None)  # type: ignore[attr-defined]
        if one_cycle is not None:
            groups = layer_names(trainer.optimizers[0])
            figure = schedule_figure(one_cycle.recipe, one_cycle.steps_per_epoch(trainer), trainer.max_steps, groups)
            log_figure(trainer.loggers, f"{PICTURES}/schedule", figure)

    def _show_first_batch(self, trainer: Trainer) -> None:
        data = getattr(trainer, "datamodule", None)
        if isinstance(data, ImageDataModule) and trainer.is_global_zero:
            self._show_schedule(trainer)
            with or_warn("show_batch.png"):
                write_figure(Path(trainer.default_root_dir) / "show_batch.png", show_batch(data))
            with or_warn(f"{PICTURES}/first_batch"):
                log_figure(trainer.loggers, f"{PICTURES}/first_batch", before_and_after(data, self.images))
