import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import multiclass_f1_score, multiclass_precision, multiclass_recall

from pets.evaluation.intervals import wilson
from pets.evaluation.predictions import Predictions
from pets.evaluation.report import report
from tests.evaluation.conftest import FromCounts, MakePredictions


def take(predictions: Predictions, rows: np.ndarray) -> Predictions:
    p = predictions
    return Predictions(p.probabilities[rows], p.targets[rows], p.losses[rows], p.files[rows], p.classes)


def test_report_by_hand(make_from_counts: FromCounts) -> None:
    made = report(make_from_counts(np.array([[3, 1], [2, 4]])))
    assert (made["n"], made["wrong"], made["error_rate"]) == (10, 3, 0.3)
    assert made["error_rate_interval"] == list(wilson(3, 10)[1:])
    assert made["classes"]["a"] == {
        "n": 4,
        "precision": 0.6,
        "recall": 0.75,
        "recall_interval": list(wilson(3, 4)[1:]),
        "f1": pytest.approx(2 / 3),
    }
    assert made["accuracy"] == {"micro": 0.7, "macro": pytest.approx((3 / 4 + 4 / 6) / 2)}
    assert made["macro"]["precision"] == pytest.approx((0.6 + 0.8) / 2)
    assert made["loss"] == pytest.approx(-(7 * np.log(0.95) + 3 * np.log(0.05)) / 10, abs=1e-6)
    assert made["calibration"]["ece"] == pytest.approx(0.25, abs=1e-6)
    assert "top5_accuracy" not in made
    assert made["metrics"]["error_rate"] == 0.3
    assert made["metrics"]["f1_macro"] == made["macro"]["f1"]
    assert made["notes"] == []


def test_undefined_values_are_none_and_noted(make_from_counts: FromCounts) -> None:
    # b has no image, c is never predicted.
    made = report(make_from_counts(np.array([[4, 1, 0], [0, 0, 0], [2, 0, 0]])))
    assert made["classes"]["b"] == {"n": 0, "precision": 0.0, "recall": None, "recall_interval": None, "f1": None}
    assert made["classes"]["c"]["precision"] is None
    assert made["classes"]["c"]["f1"] == 0.0
    assert made["accuracy"]["macro"] == pytest.approx((0.8 + 0) / 2)
    assert made["macro"]["precision"] == pytest.approx((4 / 6 + 0) / 2)
    assert [note.split(":")[0] for note in made["notes"]] == ["no image of b", "never predicted"]
    json.dumps(made, allow_nan=False)


def test_class_metrics_agree_with_torchmetrics(make_predictions: MakePredictions) -> None:
    rng = np.random.default_rng(1)
    made = make_predictions(rng.dirichlet(np.ones(4), 200), np.arange(200) % 4)
    predicted, targets = torch.from_numpy(made.predicted), torch.from_numpy(made.targets)
    classes = report(made)["classes"].values()
    for key, theirs in (
        ("precision", multiclass_precision),
        ("recall", multiclass_recall),
        ("f1", multiclass_f1_score),
    ):
        expected = theirs(predicted, targets, num_classes=4, average=None).tolist()
        assert [metrics[key] for metrics in classes] == pytest.approx(expected, abs=1e-6)


@settings(deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(1, 40))
def test_report_does_not_depend_on_the_order_of_the_images(
    make_predictions: MakePredictions, seed: int, n: int
) -> None:
    rng = np.random.default_rng(seed)
    made = make_predictions(rng.dirichlet(np.ones(3), n), rng.integers(0, 3, n))
    before, after = report(made), report(take(made, rng.permutation(n)))
    for key in ("wrong", "error_rate_interval", "classes", "accuracy", "notes"):
        assert before[key] == after[key]
    assert before["calibration"]["ece"] == pytest.approx(after["calibration"]["ece"])
    assert before["error_rate_interval"][0] <= before["error_rate"] <= before["error_rate_interval"][1]
    json.dumps(before, allow_nan=False)
