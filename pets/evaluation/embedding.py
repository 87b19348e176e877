"""The features of images, with thumbnails, for TensorBoard's projector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import interpolate
from torch.utils.tensorboard import SummaryWriter

from pets.escape import printable
from pets.evaluation.predictions import Predictions, evaluating, evaluation_images

if TYPE_CHECKING:
    from pets.data.datamodule import ImageDataModule
    from pets.model.classifier import Classifier

MOST, CHUNK, THUMBNAIL = 1000, 32, 48
"""Images shown at most, images a forward pass, side of a thumbnail in pixels."""


def publish_embedding(
    predictions: Predictions, classifier: Classifier, data: ImageDataModule, writer: SummaryWriter, tag: str, step: int
) -> None:
    """Write the pooled last feature map of the first images, each with its file, actual and predicted class."""
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
    writer.add_embedding(
        torch.cat(features),
        metadata=[[printable(file), names[actual], names[predicted]] for file, actual, predicted in rows],
        metadata_header=["file", "actual", "predicted"],
        label_img=torch.cat(thumbnails),
        global_step=step,
        tag=tag,
    )
