"""A threshold on the highest probability: below it a prediction means "none of these"."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from pets.errors import UserError
from pets.evaluation.intervals import Interval, wilson
from pets.evaluation.predictions import Predictions

log = logging.getLogger(__name__)


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
        raise UserError(f"precision must be in (0, 1], got {precision}")
    order = np.argsort(-predictions.confidence, kind="stable")
    confidence, hits = predictions.confidence[order], np.cumsum(predictions.correct[order])
    accepted = np.arange(1, len(order) + 1)
    # Equal confidences are accepted together: only the last of a run of ties can be a threshold.
    last_of_ties = np.append(confidence[1:] != confidence[:-1], True)
    shares = np.where(last_of_ties, hits / accepted, 0.0)
    reached = np.flatnonzero(shares >= precision)
    if not len(reached):
        raise UserError(f"no threshold reaches precision {precision}, the best is {shares.max():.3f}")
    last = int(reached[-1])
    return Threshold(float(confidence[last]), wilson(int(hits[last]), last + 1), (last + 1) / len(order))


def choose_threshold(valid: Predictions, precision: float) -> float | None:
    """Return the threshold that reaches a precision on the validation part; None, with a warning, if there is none."""
    try:
        return threshold_for_precision(valid, precision).value
    except ValueError as error:
        # The numbers of a finished training are worth more than the threshold they do not reach.
        log.warning(f"evaluate.precision={precision}: {error}; no threshold is set")
        return None


def accepted(predictions: Predictions, threshold: float) -> dict[str, Any]:
    """Return as plain values what a threshold accepts: images, precision with its 95% interval, and coverage."""
    kept = predictions.confidence >= threshold
    n = int(kept.sum())
    precision = wilson(int(predictions.correct[kept].sum()), n)._asdict() if n else None
    return {"value": threshold, "accepted": n, "precision": precision, "coverage": n / len(predictions)}
