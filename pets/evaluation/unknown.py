"""The detector of images of none of the classes: made from the features of a data module, and what it refuses."""

import logging
from typing import Any

from pets.evaluation.features import Features
from pets.evaluation.intervals import wilson
from pets.model.unknown import UnknownDetector

log = logging.getLogger(__name__)


def fit_detector(train: Features, valid: Features, n_classes: int, false_alarms: float) -> UnknownDetector | None:
    """Return a detector that learned from the training part, its threshold chosen on the validation part.

    None, with a warning, where it cannot be made of these images.
    """
    try:
        return UnknownDetector.fit(train.values, train.targets, valid.values, n_classes, false_alarms)
    except ValueError as error:
        # The numbers of a finished training are worth more than the detector they do not allow.
        log.warning(f"evaluate.false_alarms={false_alarms}: {error}; unknown images are not told")
        return None


def refused(detector: UnknownDetector, features: Features) -> dict[str, Any]:
    """Return as plain values how many images a detector refuses: a share with its 95% interval."""
    n = int((detector(features.values) < 0).sum())
    return {"wanted": detector.false_alarms, "refused": n, "share": wilson(n, len(features.values))._asdict()}
