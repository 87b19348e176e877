"""The features of images, with thumbnails, for TensorBoard's projector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from pets.escape import printable
from pets.evaluation.predictions import Predictions, evaluating, evaluation_images

if TYPE_CHECKING:
    from pets.data.datamodule import ImageDataModule
    from pets.model.classifier import Classifier

MOST, CHUNK, THUMBNAIL = 1000, 32, 48
"""Images shown at most, images a forward pass, side of a thumbnail in pixels."""


def embedding(
    predictions: Predictions, classifier: Classifier, data: ImageDataModule
) -> tuple[Tensor, list[list[str]], Tensor]:
    """Return what a projector shows of the first images.

    Returns:
        Their pooled last feature map, float32 (n, d); a header and n rows of file, actual and predicted class;
        thumbnails, float32 (n, 3, THUMBNAIL, THUMBNAIL) in [0, 1].
    """
    files = predictions.files[:MOST].tolist()
    device = next(classifier.parameters()).device
    features, thumbnails = [], []
    with evaluating(classifier), torch.no_grad():
        for start in range(0, len(files), CHUNK):
            names = files[start : start + CHUNK]
            images = evaluation_images(data.table.root, names, data.presize, data.batch_transform.size)
            features.append(classifier.feature_map(images.to(device)).float().mean(dim=(2, 3)).cpu())
            thumbnails.append(interpolate(images, size=(THUMBNAIL, THUMBNAIL), mode="bilinear", antialias=True))
    names = predictions.classes
    rows = zip(files, predictions.targets.tolist(), predictions.predicted.tolist(), strict=False)
    table = [["file", "actual", "predicted"], *([printable(file), names[a], names[p]] for file, a, p in rows)]
    return torch.cat(features), table, torch.cat(thumbnails)
