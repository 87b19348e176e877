"""The table of metrics: one row and one function a metric, and the direction that everything follows."""

from pathlib import Path

import pytest

from pets.model.metrics import COMPUTE
from pets.settings.metrics import (
    CURVES,
    EVALUATION,
    METRICS,
    TRAINING,
    check_measured,
    checkpoint_mode,
    direction,
)

DOCS = Path(__file__).parents[2] / "docs" / "evaluate.md"


def test_every_metric_has_one_row_and_one_function() -> None:
    assert [metric.name for metric in EVALUATION] == list(COMPUTE)
    assert len({metric.name for metric in TRAINING}) == len(TRAINING)


def test_only_what_every_epoch_measures_is_shown_while_training() -> None:
    shown = [metric for metric in METRICS.values() if metric.console or metric.column or metric.hparams or metric.chart]
    assert all(metric.during_fit for metric in shown)
    columns = [metric.column for metric in CURVES.values() if metric.column]
    assert columns == ["train_loss", "train_loss_epoch", "valid_loss", "error_rate", "accuracy", "accuracy_macro"]


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("valid/error_rate", "min"), ("test/loss", "min"), ("train/loss", "min"), ("train/loss_epoch", "min"),
        ("valid/ece", "min"), ("valid/accuracy", "max"), ("valid/accuracy_macro", "max"), ("test/f1_macro", "max"),
        ("valid/precision_macro", "max"), ("valid/top5_accuracy", "max"),
    ],
)  # fmt: skip
def test_direction(tag: str, expected: str) -> None:
    assert direction(tag) == expected


def test_a_metric_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match=r"'valid/banana' is not a metric: train/loss, .*test/ece$"):
        direction("valid/banana")


def test_the_mode_of_a_checkpoint_follows_its_metric() -> None:
    assert checkpoint_mode("valid/error_rate") == checkpoint_mode("valid/error_rate", "min") == "min"
    assert checkpoint_mode("valid/accuracy") == "max"
    assert checkpoint_mode("valid/mine", "max") == "max"


@pytest.mark.parametrize(
    ("monitor", "mode", "says"),
    [
        (
            "valid/error_rate",
            "max",
            r"callbacks\.checkpoint\.mode=max is not allowed: the best valid/error_rate is the",
        ),
        (
            "valid/accuracy",
            "min",
            r"callbacks\.checkpoint\.mode=min is not allowed: the best valid/accuracy is the max",
        ),
        ("banana", None, r"callbacks\.checkpoint\.monitor='banana' .* needs callbacks\.checkpoint\.mode=min or max"),
        ("valid/ece", "min", r"callbacks\.checkpoint\.monitor='valid/ece' is not among the metrics of every epoch"),
    ],
)
def test_a_mode_that_contradicts_its_metric_is_refused(monitor: str, mode: str | None, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        checkpoint_mode(monitor, mode)


def test_an_optimized_metric_that_a_fit_will_not_measure_is_refused() -> None:
    check_measured("test/top5_accuracy", n_classes=6, tested=True, at_end=True)
    check_measured("valid/error_rate", n_classes=2, tested=False, at_end=False)
    for tag, at_end, says in (
        ("test/loss", True, r"^optimized_metric=test/loss: there is no test part"),
        ("valid/top5_accuracy", True, r"^optimized_metric=valid/top5_accuracy needs 6 classes or more, here are 5$"),
        ("valid/ece", False, r"^optimized_metric=valid/ece is measured by the evaluation that evaluate\.at_end=false"),
    ):
        with pytest.raises(ValueError, match=says):
            check_measured(tag, n_classes=5, tested=False, at_end=at_end)


def test_the_docs_list_the_table() -> None:
    rows = [f"| `{metric.name}` | {metric.about} | {direction(f'valid/{metric.name}')} |" for metric in EVALUATION]
    assert "\n".join(rows) in DOCS.read_text(encoding="utf-8")
