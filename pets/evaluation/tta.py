"""Test-time augmentation: predictions averaged over augmented passes, blended with the plain ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from pets.augment.batch import BatchTransform
from pets.data.rng import Stream
from pets.errors import UserError
from pets.evaluation.intervals import wilson
from pets.evaluation.predictions import Predictions, infer

if TYPE_CHECKING:
    from pets.data.datamodule import ImageDataModule
    from pets.model.classifier import Classifier
    from pets.settings.parts import Part


def tta(
    classifier: Classifier,
    datamodule: ImageDataModule,
    part: Part,
    plain: Predictions,
    *,
    n: int = 4,
    beta: float = 0.25,
) -> Predictions:
    """Predict a part n times under the training augmentation and blend the mean with the plain predictions.

    The augmentation depends on the data module's seed, the image and the number of the pass. Images are never mixed.
    The plain predictions have the weight `beta`. Source: fastai's Learner.tta.

    Raises:
        ValueError: If n is below 1, beta is outside [0, 1] or `plain` predicts other images.
    """
    if n < 1:
        raise UserError(f"tta.n={n} must be 1 or more")
    # The data module knows its transform only by a protocol: mixing is this class's own setting.
    augment = replace(cast(BatchTransform, datamodule.batch_transform), mix="none").train
    passes = []
    for number in range(n):
        loader = datamodule.loader(part, training=True, stream=Stream.TTA, epoch=number)
        passes.append(infer(classifier, loader, augment, datamodule.table.files, datamodule.vocab.classes))
    return blend(plain, passes, beta)


def blend(plain: Predictions, passes: Sequence[Predictions], beta: float = 0.25) -> Predictions:
    """Return (1 - beta) * mean of the passes + beta * plain, on probabilities.

    The losses become the negative log of the blended probability of the actual class.

    Raises:
        ValueError: If beta is outside [0, 1] or a pass predicts other images than `plain`.
    """
    if not 0 <= beta <= 1:
        raise UserError(f"tta.beta={beta} must be in [0, 1]")
    if any(not np.array_equal(one.files, plain.files) for one in passes):
        raise UserError(f"tta: the plain predictions are not those of the same {len(passes[0])} images")
    augmented = np.mean([one.probabilities for one in passes], axis=0, dtype=np.float32)
    probabilities = (1 - beta) * augmented + beta * plain.probabilities
    blended = replace(plain, probabilities=probabilities.astype(np.float32))
    return replace(blended, losses=-np.log(np.maximum(blended.p_actual, np.finfo(np.float32).tiny)))


def compare(plain: Predictions, blended: Predictions) -> dict[str, Any]:
    """Return as plain values what blending changed: both error rates with 95% intervals, and counts of images."""
    errors = {
        name: wilson(int((~predictions.correct).sum()), len(predictions))._asdict()
        for name, predictions in (("plain", plain), ("tta", blended))
    }
    return {
        "n": len(plain),
        "error_rate": errors,
        "changed": int((plain.predicted != blended.predicted).sum()),
        "corrected": int((~plain.correct & blended.correct).sum()),
        "spoiled": int((plain.correct & ~blended.correct).sum()),
    }
