"""The report on a set of predictions: the metrics with their intervals, and every class, as plain values for JSON."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pets.evaluation.interpretation import confusion_matrix
from pets.evaluation.intervals import wilson
from pets.evaluation.predictions import Predictions
from pets.model.metrics import Outcome, class_scores, measure, reliability_bins


def report(predictions: Predictions) -> dict[str, Any]:
    """Return the report of a set of predictions; every value is a plain number, string, list, dict or None.

    Shares are in [0, 1] and intervals are 95% Wilson intervals. With one label an image, precision, recall and F1
    averaged over images (micro) all equal the accuracy; averaged over classes (macro) they differ. What is undefined
    (the recall of a class without images, the precision of a class never predicted) is None, and a note says so.
    `metrics` has what metrics.json has, under the same names; what needs more classes than there are is left out.
    """
    matrix = confusion_matrix(predictions)
    probabilities, targets = predictions.probabilities, predictions.targets
    loss = float(predictions.losses.mean(dtype=np.float64))
    metrics = measure(Outcome(matrix, loss, probabilities, targets))
    error = wilson(int((~predictions.correct).sum()), len(predictions))
    bins = reliability_bins(probabilities, targets)
    classes = class_metrics(matrix, predictions.classes)
    return {
        "n": len(predictions),
        "wrong": int((~predictions.correct).sum()),
        "metrics": metrics,
        "error_rate": metrics["error_rate"],
        "error_rate_interval": [error.low, error.high],
        "accuracy": {"micro": metrics["accuracy"], "macro": metrics["accuracy_macro"]},
        **{name: metrics[name] for name in ("top5_accuracy", "loss") if name in metrics},
        "macro": {
            "precision": metrics["precision_macro"],
            "recall": metrics["accuracy_macro"],
            "f1": metrics["f1_macro"],
        },
        "calibration": {"ece": metrics["ece"], "bins": [b._asdict() for b in bins]},
        "classes": classes,
        "notes": _notes(classes),
    }


def class_metrics(matrix: NDArray[np.int64], classes: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Return n, precision, recall with interval and F1 of each class from a confusion matrix (rows actual)."""
    scores = [[None if np.isnan(value) else value for value in column.tolist()] for column in class_scores(matrix)]
    counts = matrix.sum(axis=1).tolist(), matrix.diagonal().tolist()
    return {
        name: {
            "n": n,
            "precision": precision,
            "recall": recall,
            "recall_interval": list(wilson(hits, n)[1:]) if n else None,
            "f1": f1,
        }
        for name, n, hits, precision, recall, f1 in zip(classes, *counts, *scores, strict=True)
    }


def _notes(classes: dict[str, dict[str, Any]]) -> list[str]:
    absent = [name for name, metrics in classes.items() if metrics["n"] == 0]
    unpredicted = [name for name, metrics in classes.items() if metrics["n"] and metrics["precision"] is None]
    notes = []
    if absent:
        notes.append(f"no image of {', '.join(absent)}: recall and F1 undefined, left out of the macro averages")
    if unpredicted:
        notes.append(f"never predicted: {', '.join(unpredicted)}: precision undefined, 0 in its macro average")
    return notes
