"""Whether a stated probability can be believed: reliability bins and the expected calibration error."""

from typing import NamedTuple

import numpy as np

from pets.evaluation.predictions import Predictions


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


def reliability_bins(predictions: Predictions, n_bins: int = 15) -> list[Bin]:
    """Sort the predictions by confidence into bins of equal width over [0, 1]."""
    confidence = predictions.confidence.astype(np.float64)
    edges = np.linspace(0.0, 1.0, n_bins + 1)
    place = np.digitize(confidence, edges[1:-1])
    counts = np.bincount(place, minlength=n_bins)
    sums = np.bincount(place, weights=confidence, minlength=n_bins)
    hits = np.bincount(place[predictions.correct], minlength=n_bins)
    return [
        Bin(float(low), float(high), int(n), int(hit), float(total / n) if n else None, float(hit / n) if n else None)
        for low, high, n, hit, total in zip(edges[:-1], edges[1:], counts, hits, sums, strict=True)
    ]


def expected_calibration_error(bins: list[Bin]) -> float:
    """Return the mean gap in [0, 1] between confidence and accuracy, each bin weighted by its predictions.

    Source: Guo et al. (2017), On calibration of modern neural networks, equation 3.
    """
    gaps = [b.n * abs(b.confidence - b.accuracy) for b in bins if b.confidence is not None and b.accuracy is not None]
    return sum(gaps) / sum(b.n for b in bins)
