"""Small predictions and a small classifier, with the interface that evaluation relies on."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pets.evaluation.predictions import Predictions
from pets.model.losses import CrossEntropy

MakePredictions = Callable[..., Predictions]
FromCounts = Callable[[np.ndarray], Predictions]


@pytest.fixture(scope="session")
def make_predictions() -> MakePredictions:
    """Predictions from probabilities and targets; files are named by their row, losses are those of softmax."""

    def make(
        probabilities: Sequence[Sequence[float]], targets: Sequence[int], classes: Sequence[str] = ()
    ) -> Predictions:
        p, t = np.array(probabilities, dtype=np.float32), np.array(targets, dtype=np.int64)
        losses = -np.log(np.maximum(p[np.arange(len(t)), t], 1e-9))
        files = np.array([f"image_{row}.jpg" for row in range(len(t))])
        return Predictions(p, t, losses, files, tuple(classes) or tuple("abcdefghijklmnop"[: p.shape[1]]))

    return make


@pytest.fixture(scope="session")
def make_from_counts(make_predictions: MakePredictions) -> FromCounts:
    """Predictions whose confusion matrix is the one given."""

    def make(matrix: np.ndarray) -> Predictions:
        pairs = [(row, column) for row, column in np.ndindex(*matrix.shape) for _ in range(matrix[row, column])]
        probabilities = [0.9 * np.eye(len(matrix))[column] + 0.1 / len(matrix) for _, column in pairs]
        return make_predictions(probabilities, [row for row, _ in pairs])

    return make


@pytest.fixture
def four(make_predictions: MakePredictions) -> Predictions:
    """Four predictions of two classes, from sure to unsure: right, right, wrong, right."""
    return make_predictions([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]], [0, 0, 1, 0])


class TinyClassifier(nn.Module):
    """A convolution, batch normalisation, dropout and a linear head."""

    classes = ("a", "b", "c")

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, stride=4), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 3)
        )
        self.loss = CrossEntropy()

    def feature_map(self, images: Tensor) -> Tensor:
        return self.body(images)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.feature_map(images))


@pytest.fixture
def classifier() -> TinyClassifier:
    """A fixed tiny classifier of 3 classes in training mode, one of its parts frozen in evaluation mode."""
    torch.manual_seed(0)
    model = TinyClassifier().train()
    model.body[1].eval()
    return model
