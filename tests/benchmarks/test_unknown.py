"""AUROC against torchmetrics and by hand, its interval against the truth, and the picture."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.classification import binary_auroc

from benchmarks.unknown import auroc, detector_report, unknown_figure

scores = st.lists(st.integers(0, 6).map(lambda n: n / 6), min_size=2, max_size=12).map(
    lambda x: np.array(x, np.float32)
)


def test_auroc_by_hand() -> None:
    # Of the 6 pairs the known image wins 4 and ties once.
    area = auroc(np.array([0.9, 0.5, 0.4], np.float32), np.array([0.5, 0.1], np.float32))
    assert area.value == pytest.approx(4.5 / 6)
    assert 0 <= area.low < area.value < area.high <= 1


@given(known=scores, unknown=scores)
def test_auroc_agrees_with_torchmetrics(known: np.ndarray, unknown: np.ndarray) -> None:
    both = torch.from_numpy(np.concatenate([known, unknown]))
    labels = torch.tensor([1] * len(known) + [0] * len(unknown))
    area = auroc(known, unknown)
    assert area.value == pytest.approx(float(binary_auroc(both, labels)), abs=1e-6)
    assert area.low <= area.value <= area.high
    assert auroc(unknown, known).value == pytest.approx(1 - area.value)


def test_auroc_interval_covers_the_truth_as_often_as_it_says() -> None:
    # For N(1, 1) against N(0, 1) the area is Phi(1 / sqrt(2)).
    rng = np.random.default_rng(0)
    scores = ((rng.normal(1, 1, 80), rng.normal(0, 1, 40)) for _ in range(400))
    areas = [auroc(known.astype(np.float32), unknown.astype(np.float32)) for known, unknown in scores]
    covered = np.mean([area.low <= 0.7602499 <= area.high for area in areas])
    assert 0.92 <= covered <= 0.98


def test_auroc_needs_two_of_each() -> None:
    with pytest.raises(ValueError, match="got 1 and 3"):
        auroc(np.zeros(1, np.float32), np.zeros(3, np.float32))


def test_detector_report_is_plain() -> None:
    known, unknown = np.array([0.9, 0.8, 0.3], np.float32), np.array([0.6, 0.1], np.float32)
    made = json.loads(json.dumps(detector_report(known, unknown, 0.5), allow_nan=False))
    assert (made["n_known"], made["n_unknown"], made["threshold"]) == (3, 2, 0.5)
    assert made["auroc"]["value"] == pytest.approx(5 / 6)
    assert made["known_accepted"]["value"] == pytest.approx(2 / 3)
    assert made["unknown_refused"]["value"] == 0.5


def test_unknown_figure_has_a_panel_a_detector() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(20).astype(np.float32), (rng.random(9) / 2).astype(np.float32)
    figure = unknown_figure({"one-vs-rest": scores, "softmax": scores})
    figure.draw_without_rendering()
    assert [axes.get_title(loc="left").split("\n")[0] for axes in figure.axes] == ["one-vs-rest", "softmax"]
    legend = figure.axes[0].get_legend()
    assert legend
    assert [text.get_text() for text in legend.get_texts()] == ["known (20 images)", "unknown (9 images)"]
