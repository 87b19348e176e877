from pathlib import Path

import numpy as np
import pytest
import torch

from pets.augment.batch import BatchTransform
from pets.data.datamodule import ImageDataModule
from pets.data.labels import RegexLabeller
from pets.data.presize import Presize
from pets.data.sources.folder import ImageFolder
from pets.data.splits import SplitRule
from pets.evaluation.gradcam import gradcam
from pets.evaluation.interpretation import top_losses
from pets.evaluation.predictions import evaluation_images, infer
from pets.model.classifier import Classifier
from pets.settings.data import PresizeMethod


@pytest.mark.parametrize("method", ["crop", "native"])
def test_views_are_the_images_that_were_predicted(method: PresizeMethod, tiny_pets: Path) -> None:
    torch.manual_seed(0)
    data = ImageDataModule(
        ImageFolder(tiny_pets),
        RegexLabeller(),
        SplitRule(valid_pct=0.5),
        BatchTransform(size=32),
        presize=Presize(52, method),
        num_workers=0,
    )
    classifier = Classifier("resnet18", classes=list(data.vocab), weights=None)
    transform = data.batch_transform.evaluate
    predictions = infer(classifier, data.loader("valid"), transform, data.table.files, list(data.vocab))
    rows = top_losses(predictions, 4)
    views = evaluation_images(data.table.root, predictions.files[rows], data.presize, data.batch_transform.size)
    with torch.no_grad():
        again = classifier.eval()(views).softmax(dim=1).numpy()
    np.testing.assert_allclose(again, predictions.probabilities[rows], atol=1e-5)
    heat = gradcam(classifier, views)
    assert heat.shape == (4, 32, 32)
    assert heat.amax() == 1.0
