"""The table of metrics: what each one is, whether lower is better, and where it is shown.

A metric takes a row here and a function in `pets.model.metrics.COMPUTE`. The trainer's log, the progress bar,
history.csv, report.json, metrics.json, TensorBoard's pages, what `optimized_metric` may name and the order of a
leaderboard follow from the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pets.errors import UserError


@dataclass(frozen=True)
class Metric:
    """A row of the table.

    Attributes:
        name: What follows the part in a tag such as `valid/error_rate`.
        about: What it is, in a sentence.
        lower_is_better: Which end is the good one.
        during_fit: Whether every epoch measures it; the others are measured once, in the evaluation at the end.
        console: Whether it stands in the progress bar and, with a column, in the console's table of epochs.
        column: Its column of history.csv; None for none.
        hparams: Whether it is a column of TensorBoard's page HPARAMS.
        chart: Title of the chart of TensorBoard's page CUSTOM SCALARS that shows its curve; None for none.
        min_classes: With fewer classes it says nothing and is left out.
    """

    name: str
    about: str
    lower_is_better: bool = False
    during_fit: bool = False
    console: bool = False
    column: str | None = None
    hparams: bool = False
    chart: str | None = None
    min_classes: int = 2


LOSS_CHART = "loss of training and validation"

TRAINING = (
    Metric(
        "loss",
        "training loss, an exponential moving average over the steps",
        lower_is_better=True, during_fit=True, console=True, column="train_loss", chart=LOSS_CHART,
    ),
    Metric(
        "loss_epoch",
        "training loss, the mean over an epoch",
        lower_is_better=True, during_fit=True, column="train_loss_epoch", hparams=True,
    ),
)  # fmt: skip
"""What is measured on augmented training batches, `train/...`."""

EVALUATION = (
    Metric(
        "loss",
        "mean loss of an image",
        lower_is_better=True, during_fit=True, console=True, column="valid_loss", hparams=True, chart=LOSS_CHART,
    ),
    Metric(
        "error_rate",
        "share of the images whose class was not predicted",
        lower_is_better=True, during_fit=True, console=True, column="error_rate", hparams=True, chart="error rate",
    ),
    Metric(
        "accuracy",
        "share of the images whose class was predicted, 1 - error_rate",
        during_fit=True, column="accuracy", hparams=True,
    ),
    Metric(
        "accuracy_macro",
        "accuracy (recall) of each class that occurs, averaged over these classes",
        during_fit=True, column="accuracy_macro", hparams=True, chart="accuracy, mean over the classes",
    ),
    Metric("precision_macro", "precision averaged over the classes that occur, 0 for a class never predicted"),
    Metric("f1_macro", "F1 averaged over the classes that occur"),
    Metric("top5_accuracy", "share of the images whose class is among the five most probable ones", min_classes=6),
    Metric("ece", "expected calibration error over 15 bins of confidence", lower_is_better=True),
)  # fmt: skip
"""What is measured on a part of the data: `valid/...`, `test/...`."""

METRICS: Mapping[str, Metric] = {f"train/{metric.name}": metric for metric in TRAINING} | {
    f"{part}/{metric.name}": metric for part in ("valid", "test") for metric in EVALUATION
}
"""Every metric by its tag, which is what `optimized_metric` names."""

CURVES: Mapping[str, Metric] = {
    tag: metric for tag, metric in METRICS.items() if metric.during_fit and not tag.startswith("test/")
}
"""The metrics that a fit logs every epoch, by tag."""


def row(tag: str) -> Metric:
    """Return the row of a metric such as `valid/error_rate`.

    Raises:
        ValueError: There is none.
    """
    if tag not in METRICS:
        raise UserError(f"{tag!r} is not a metric: {', '.join(METRICS)}")
    return METRICS[tag]


def direction(tag: str) -> Literal["min", "max"]:
    """Return whether a metric is better when it is low (min) or high (max).

    Raises:
        ValueError: The table has no such metric.
    """
    return "min" if row(tag).lower_is_better else "max"


def checkpoint_mode(monitor: str, mode: str | None = None) -> str:
    """Return the mode in which a checkpoint callback watches a metric: min or max.

    Args:
        monitor: A metric of `CURVES`, or one that a callback of the user's own logs.
        mode: What the user said; needed for a metric of the user's own only.

    Raises:
        ValueError: The mode contradicts the table or is missing, or no epoch measures the metric.
    """
    if monitor in CURVES:
        best = direction(monitor)
        if mode not in (None, best):
            raise UserError(
                f"callbacks.checkpoint.mode={mode} is not allowed: the best {monitor} is the {best}imum; leave the "
                "mode out, and it follows callbacks.checkpoint.monitor"
            )
        return best
    if monitor in METRICS or mode is None:
        raise UserError(
            f"callbacks.checkpoint.monitor={monitor!r} is not among the metrics of every epoch, {', '.join(CURVES)}; "
            "one that a callback of your own logs needs callbacks.checkpoint.mode=min or max"
        )
    return mode


def check_measured(tag: str, *, n_classes: int, tested: bool, at_end: bool) -> None:
    """Check, before a fit, that it will measure its `optimized_metric`.

    Args:
        tag: The metric.
        n_classes: Number of classes.
        tested: Whether there is a test part.
        at_end: Whether the fit ends with an evaluation.

    Raises:
        ValueError: It will not.
    """
    metric = row(tag)
    if tag.startswith("test/") and not tested:
        raise UserError(f"optimized_metric={tag}: there is no test part; data.split.test_pct makes one")
    if n_classes < metric.min_classes:
        raise UserError(f"optimized_metric={tag} needs {metric.min_classes} classes or more, here are {n_classes}")
    if not (metric.during_fit or at_end):
        raise UserError(f"optimized_metric={tag} is measured by the evaluation that evaluate.at_end=false leaves out")
