"""The numbers of a set of predictions, each with what it needs to be believed, as plain values for JSON."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pets.evaluation.calibration import expected_calibration_error, reliability_bins
from pets.evaluation.interpretation import confusion_matrix
from pets.evaluation.intervals import wilson
from pets.evaluation.predictions import Predictions


def report(predictions: Predictions) -> dict[str, Any]:
    """Return the report of a set of predictions; every value is a plain number, string, list, dict or None.

    Shares are in [0, 1] and intervals are 95% Wilson intervals. With one label an image, precision, recall and F1
    averaged over images (micro) all equal the accuracy; averaged over classes (macro) they differ. What is undefined
    (the recall of a class without images, the precision of a class never predicted) is None, and a note says so.
    """
    matrix = confusion_matrix(predictions)
    n, wrong = len(predictions), int((~predictions.correct).sum())
    error = wilson(wrong, n)
    bins = reliability_bins(predictions)
    classes = class_metrics(matrix, predictions.classes)
    present = [metrics for metrics in classes.values() if metrics["n"]]
    macro = {key: float(np.mean([metrics[key] or 0.0 for metrics in present])) for key in ("precision", "recall", "f1")}
    return {
        "n": n,
        "wrong": wrong,
        "error_rate": error.value,
        "error_rate_interval": [error.low, error.high],
        "accuracy": {"micro": 1 - error.value, "macro": macro["recall"]},
        "top5_accuracy": top_k_accuracy(predictions, k=5),
        "loss": float(predictions.losses.mean(dtype=np.float64)),
        "macro": macro,
        "calibration": {"ece": expected_calibration_error(bins), "bins": [b._asdict() for b in bins]},
        "classes": classes,
        "notes": _notes(classes),
    }


def class_metrics(matrix: NDArray[np.int64], classes: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Return n, precision, recall with interval and F1 of each class from a confusion matrix (rows actual)."""
    hits, n_actual, n_predicted = matrix.diagonal().tolist(), matrix.sum(axis=1).tolist(), matrix.sum(axis=0).tolist()
    return {
        name: _one_class(hit, actual, predicted)
        for name, hit, actual, predicted in zip(classes, hits, n_actual, n_predicted, strict=True)
    }


def top_k_accuracy(predictions: Predictions, k: int) -> float:
    """Return the share of images whose actual class is among the k most probable ones."""
    order = np.argsort(-predictions.probabilities, axis=1, kind="stable")[:, :k]
    return float((order == predictions.targets[:, None]).any(axis=1).mean())


def _one_class(hits: int, n_actual: int, n_predicted: int) -> dict[str, Any]:
    recall = wilson(hits, n_actual) if n_actual else None
    return {
        "n": n_actual,
        "precision": hits / n_predicted if n_predicted else None,
        "recall": recall.value if recall else None,
        "recall_interval": [recall.low, recall.high] if recall else None,
        "f1": 2 * hits / (n_actual + n_predicted) if n_actual else None,
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
