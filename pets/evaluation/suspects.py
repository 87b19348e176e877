"""Labels that are probably wrong: images that a trained classifier is sure about, and sure of another class."""

from typing import NamedTuple

import numpy as np

from pets.evaluation.predictions import Predictions


class Suspect(NamedTuple):
    """A doubted image. Its table, edited, is what `data.relabel` reads: columns `file` and `label`."""

    file: str
    label: str
    """What the classifier says, and `data.relabel` would make of it."""
    actual: str
    """The label that it has."""
    p_label: float
    p_actual: float
    loss: float


def suspects(predictions: Predictions, confidence: float) -> list[Suspect]:
    """Return the images whose label the classifier contradicts, the costliest first.

    Args:
        predictions: What was inferred.
        confidence: Least probability of the predicted class, in [0, 1].
    """
    doubted = np.flatnonzero(~predictions.correct & (predictions.confidence >= confidence))
    order = doubted[np.argsort(-predictions.losses[doubted], kind="stable")]
    return [
        Suspect(
            str(predictions.files[row]),
            predictions.classes[predictions.predicted[row]],
            predictions.classes[predictions.targets[row]],
            round(float(predictions.confidence[row]), 4),
            round(float(predictions.p_actual[row]), 4),
            round(float(predictions.losses[row]), 4),
        )
        for row in order.tolist()
    ]
