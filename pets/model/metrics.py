"""The metrics: gathered batch by batch while training, and computed the same way for the trainer and for the report.

Counts are integers and everything after them is float64, so that both agree to the last digit.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.functional.classification import multiclass_stat_scores

from pets.settings import metrics as table


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a classifier made of n labelled images of C classes: all that a metric is computed from."""

    confusion: NDArray[np.int64]
    """int64 (C, C) numbers of images; rows are actual classes, columns predicted ones."""
    loss: float
    """Mean loss of an image."""
    probabilities: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    """float32 (n, C) in [0, 1]; empty while training, which keeps nothing of a single image."""
    targets: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """int64 (n,) actual classes; empty while training."""


class ClassScores(NamedTuple):
    """Scores of each class, float64 (C,) in [0, 1]; NaN where undefined."""

    precision: NDArray[np.float64]
    """Undefined for a class that was never predicted."""
    recall: NDArray[np.float64]
    """Undefined for a class without images."""
    f1: NDArray[np.float64]
    """Undefined for a class without images."""


class Bin(NamedTuple):
    """The predictions whose confidence lies in [low, high); the last bin includes 1."""

    low: float
    high: float
    n: int
    correct: int
    confidence: float | None
    """Mean confidence, None for an empty bin."""
    accuracy: float | None
    """Share of correct predictions, None for an empty bin."""


def class_scores(confusion: NDArray[np.int64]) -> ClassScores:
    """Return precision, recall and F1 of each class from a confusion matrix, rows actual."""
    hits, actual, predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    return ClassScores(
        _ratio(hits, predicted), _ratio(hits, actual), _ratio(2 * hits, np.where(actual > 0, actual + predicted, 0))
    )


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return shares


def reliability_bins(probabilities: NDArray[np.float32], targets: NDArray[np.int64], n_bins: int = 15) -> list[Bin]:
    """Sort predictions by the probability of the predicted class into bins of equal width over [0, 1].

    Args:
        probabilities: (n, C) in [0, 1].
        targets: (n,) actual classes.
        n_bins: Number of bins.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == targets
    edges = np.linspace(0.0, 1.0, n_bins + 1)
    place = np.digitize(confidence, edges[1:-1])
    counts = np.bincount(place, minlength=n_bins)
    sums = np.bincount(place, weights=confidence, minlength=n_bins)
    hits = np.bincount(place[correct], minlength=n_bins)
    return [
        Bin(float(low), float(high), int(n), int(hit), float(total / n) if n else None, float(hit / n) if n else None)
        for low, high, n, hit, total in zip(edges[:-1], edges[1:], counts, hits, sums, strict=True)
    ]


def expected_calibration_error(bins: Iterable[Bin]) -> float:
    """Return the mean gap in [0, 1] between confidence and accuracy, each bin weighted by its predictions.

    Source: Guo et al. (2017), On calibration of modern neural networks, equation 3. torchmetrics adds up in float32.
    """
    filled = [(b.n, b.confidence, b.accuracy) for b in bins if b.confidence is not None and b.accuracy is not None]
    return sum(n * abs(confidence - accuracy) for n, confidence, accuracy in filled) / sum(n for n, _, _ in filled)


def top_k_accuracy(probabilities: NDArray[np.float32], targets: NDArray[np.int64], k: int) -> float:
    """Return the share of the images (n, C) whose actual class (n,) is among the k most probable ones."""
    scores, classes = torch.from_numpy(probabilities), torch.from_numpy(targets)
    counts = multiclass_stat_scores(scores, classes, probabilities.shape[1], average="micro", top_k=k)
    return int(counts[0]) / len(targets)


def _error_rate(outcome: Outcome) -> float:
    n = int(outcome.confusion.sum())
    return (n - int(outcome.confusion.trace())) / n


def _macro(score: Callable[[ClassScores], NDArray[np.float64]]) -> Callable[[Outcome], float]:
    """Return the mean of a score over the classes that occur; what is undefined counts as 0.

    torchmetrics' macro average also counts a class that was only predicted, as 0.
    """

    def compute(outcome: Outcome) -> float:
        occurs = outcome.confusion.any(axis=1)
        return float(np.nan_to_num(score(class_scores(outcome.confusion))[occurs]).mean())

    return compute


COMPUTE: Mapping[str, Callable[[Outcome], float]] = {
    "loss": lambda outcome: outcome.loss,
    "error_rate": _error_rate,
    "accuracy": lambda outcome: 1 - _error_rate(outcome),
    "accuracy_macro": _macro(lambda scores: scores.recall),
    "precision_macro": _macro(lambda scores: scores.precision),
    "f1_macro": _macro(lambda scores: scores.f1),
    "top5_accuracy": lambda outcome: top_k_accuracy(outcome.probabilities, outcome.targets, 5),
    "ece": lambda outcome: expected_calibration_error(reliability_bins(outcome.probabilities, outcome.targets)),
}
"""What computes each metric of `pets.settings.metrics.EVALUATION`."""


def measure(outcome: Outcome, metrics: Iterable[table.Metric] = table.EVALUATION) -> dict[str, float]:
    """Return the value of each metric by name, without those that need more classes than there are."""
    return {
        metric.name: COMPUTE[metric.name](outcome) for metric in metrics if len(outcome.confusion) >= metric.min_classes
    }


class EvaluationMetrics(Metric):
    """The metrics of an evaluation while training, each image counted once over all processes."""

    # torchmetrics has a confusion matrix too. It counts with torch.bincount, which waits for the device at every
    # batch, and under deterministic algorithms compares each item of a batch with each of the C x C cells.
    full_state_update = False
    loss: Tensor
    confusion: Tensor

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.add_state("loss", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("confusion", torch.zeros(n_classes, n_classes, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, losses: Tensor, logits: Tensor, targets: Tensor, padding: Tensor) -> None:
        """Take in a batch.

        Args:
            losses: float (B,).
            logits: float (B, C).
            targets: int64 (B,) class indices.
            padding: bool (B,) true for the items that do not count.
        """
        # Masked sums keep shapes fixed; selecting the counted items would wait for the device.
        self.loss += losses.masked_fill(padding, 0).sum()
        cells = targets * len(self.confusion) + logits.argmax(dim=1)
        self.confusion.view(-1).index_add_(0, cells, (~padding).long())

    def compute(self) -> dict[str, float]:
        """Return the metrics that every epoch measures, by name."""
        confusion = self.confusion.cpu().numpy()
        outcome = Outcome(confusion, self.loss.item() / int(confusion.sum()))
        return measure(outcome, [metric for metric in table.EVALUATION if metric.during_fit])


class SmoothedLoss(nn.Module):
    """fastai's training loss: an exponential moving average over steps, corrected for its start at zero."""

    total: Tensor
    weight: Tensor

    def __init__(self, beta: float = 0.98) -> None:
        super().__init__()
        self.beta = beta
        # Progress of a fit, not part of the model: Classifier saves it beside the state dict.
        self.register_buffer("total", torch.zeros(()), persistent=False)
        self.register_buffer("weight", torch.zeros(()), persistent=False)

    def update(self, loss: Tensor) -> Tensor:
        """Take in the loss of one step, a scalar, and return the average so far."""
        self.total.mul_(self.beta).add_(loss.detach(), alpha=1 - self.beta)
        self.weight.mul_(self.beta).add_(1 - self.beta)
        return self.total / self.weight

    def reset(self) -> None:
        self.total.zero_()
        self.weight.zero_()
