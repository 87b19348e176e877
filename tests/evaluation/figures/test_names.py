"""No name of a file or a class is read as a formula, and none stops a picture."""

import io
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text

from pets.evaluation.figures.classes import precision_recall_figure, recall_figure
from pets.evaluation.figures.confusion import confusion_figure
from pets.evaluation.figures.grids import augmentation_grid, image_grid, top_losses_figure
from pets.evaluation.figures.lr_curve import lr_curve_figure
from pets.evaluation.interpretation import confusion_matrix
from pets.evaluation.predictions import Predictions
from pets.evaluation.report import report
from pets.schedule.lr_range import LRCurve

CLASSES = ("=1+1_8$x^$", "$\\frac{$", "_$_")
FILES = ("=1+1_8$x^$.jpg", "caf\udce9$^$.jpg", "a\x1b[31m\n$_{.jpg")


@pytest.fixture
def predictions() -> Predictions:
    probabilities = np.array([[0.5, 0.3, 0.2], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7]], np.float32)
    times = 10  # a class of fewer images has no curve
    losses = np.array([0.7, 1.2, 0.4], np.float32)
    return Predictions(
        np.tile(probabilities, (times, 1)), np.tile([0, 1, 2], times), np.tile(losses, times),
        np.tile(np.array(FILES), times), CLASSES,
    )  # fmt: skip


def figures(predictions: Predictions) -> Iterator[Figure]:
    images, matrix = torch.zeros(3, 3, 8, 8), confusion_matrix(predictions)
    yield confusion_figure(matrix, CLASSES)
    yield confusion_figure(matrix, CLASSES, normalise=True, clustered=True)
    yield recall_figure(report(predictions))
    yield precision_recall_figure(predictions)
    yield image_grid(images, FILES, heading=FILES[1])
    yield augmentation_grid(images[0], images, heading=FILES[0])
    yield top_losses_figure(predictions, np.arange(3), images, torch.zeros(3, 8, 8))


def test_no_name_is_a_formula(predictions: Predictions) -> None:
    for figure in figures(predictions):
        figure.savefig(io.BytesIO())
        assert not any(text.get_parse_math() for text in figure.findobj(Text) if "$" in text.get_text())


def test_the_ticks_of_the_learning_rate_need_no_formula() -> None:
    rates = np.geomspace(1e-7, 10, 100).tolist()
    figure = lr_curve_figure(LRCurve(rates, [1.0] * 100, 100, 8))
    figure.savefig(io.BytesIO())
    ticks = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert "1e\N{MINUS SIGN}07" in ticks
    assert not any("$" in tick for tick in ticks)
