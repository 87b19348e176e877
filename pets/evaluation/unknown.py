"""Saying "none of these": a threshold on the highest probability, and how well it tells known classes from unknown.

The probability of a one-vs-rest classifier can be low for every class, that of a softmax cannot, which is why the same
functions are meant for both: the two detectors are compared by their AUROC on the same images.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pets.evaluation.intervals import Z95, Interval, wilson
from pets.evaluation.predictions import Predictions

NONE_OF_THESE = -1
"""The decision that an image shows none of the classes."""


@dataclass(frozen=True)
class Threshold:
    """A confidence from which predictions are accepted, and what it gave where it was chosen."""

    value: float
    """Accept a prediction whose probability is at least this."""
    precision: Interval
    """Share of the accepted predictions that are correct; optimistic, as the same images chose the threshold."""
    coverage: float
    """Share of the images whose prediction is accepted."""


def threshold_for_precision(predictions: Predictions, precision: float) -> Threshold:
    """Return the lowest threshold, hence the highest coverage, whose accepted predictions reach a precision.

    Args:
        predictions: Those of the validation part, never of the test part.
        precision: The share of accepted predictions that must be correct, in (0, 1].

    Raises:
        ValueError: If the precision is not in (0, 1] or no threshold reaches it.
    """
    if not 0 < precision <= 1:
        raise ValueError(f"precision must be in (0, 1], got {precision}")
    order = np.argsort(-predictions.confidence, kind="stable")
    confidence, hits = predictions.confidence[order], np.cumsum(predictions.correct[order])
    accepted = np.arange(1, len(order) + 1)
    # Equal confidences are accepted together: only the last of a run of ties can be a threshold.
    last_of_ties = np.append(confidence[1:] != confidence[:-1], True)
    shares = np.where(last_of_ties, hits / accepted, 0.0)
    reached = np.flatnonzero(shares >= precision)
    if not len(reached):
        raise ValueError(f"no threshold reaches precision {precision}, the best is {shares.max():.3f}")
    last = int(reached[-1])
    return Threshold(float(confidence[last]), wilson(int(hits[last]), last + 1), (last + 1) / len(order))


def decide(probabilities: NDArray[np.float32], threshold: float) -> NDArray[np.int64]:
    """Return int64 (n,) class indices, NONE_OF_THESE where no probability of (n, C) reaches the threshold."""
    return np.where(probabilities.max(axis=1) >= threshold, probabilities.argmax(axis=1), NONE_OF_THESE)


def auroc(known: NDArray[np.float32], unknown: NDArray[np.float32]) -> Interval:
    """Return the probability that a known image scores above an unknown one, ties counted half, with its interval.

    Source of the interval: DeLong et al. (1988), Comparing the areas under two or more correlated ROC curves.

    Args:
        known: Scores (m,) of images of the classes, such as their highest probability.
        unknown: Scores (n,) of images of none of the classes.

    Raises:
        ValueError: If either holds fewer than 2 scores, which give no interval.
    """
    if min(len(known), len(unknown)) < 2:
        raise ValueError(f"auroc: at least 2 known and 2 unknown scores, got {len(known)} and {len(unknown)}")
    wins_of_known = _share_below(known, unknown)
    wins_of_unknown = _share_below(unknown, known)
    area = float(wins_of_known.mean())
    half = Z95 * float(np.sqrt(wins_of_known.var(ddof=1) / len(known) + wins_of_unknown.var(ddof=1) / len(unknown)))
    return Interval(area, max(0.0, area - half), min(1.0, area + half))


def detector_report(known: NDArray[np.float32], unknown: NDArray[np.float32], threshold: float) -> dict[str, Any]:
    """Return as plain values how well scores tell known images (m,) from unknown ones (n,).

    The shares of known images accepted and of unknown ones refused are those at the threshold, with 95% intervals.
    """
    accepted, refused = (
        wilson(int((known >= threshold).sum()), len(known)),
        wilson(int((unknown < threshold).sum()), len(unknown)),
    )
    return {
        "n_known": len(known),
        "n_unknown": len(unknown),
        "auroc": auroc(known, unknown)._asdict(),
        "threshold": threshold,
        "known_accepted": accepted._asdict(),
        "unknown_refused": refused._asdict(),
    }


def _share_below(scores: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return for each score the share of the others below it, equal ones counted half."""
    ordered = np.sort(others)
    return (np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")) / (2 * len(ordered))
