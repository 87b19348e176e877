import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.classification import binary_auroc

from pets.evaluation.unknown import NONE_OF_THESE, auroc, decide, detector_report, threshold_for_precision

scores = st.lists(st.integers(0, 6).map(lambda n: n / 6), min_size=2, max_size=12).map(
    lambda x: np.array(x, np.float32)
)


def one_vs_rest(make_predictions, rows: list[tuple[float, bool]]):
    """Predictions of class 0 with a confidence each, right or wrong."""
    return make_predictions([[p, 0.0] for p, _ in rows], [0 if right else 1 for _, right in rows])


def test_threshold_is_the_lowest_that_reaches_the_precision(make_predictions) -> None:
    rows = [(0.9, True), (0.8, False), (0.7, True), (0.6, True), (0.5, True), (0.4, False), (0.3, False)]
    made = one_vs_rest(make_predictions, rows)
    threshold = threshold_for_precision(made, 0.8)
    assert threshold.value == pytest.approx(0.5)
    assert threshold.precision.value == pytest.approx(0.8)
    assert threshold.precision.low < 0.8 < threshold.precision.high
    assert threshold.coverage == pytest.approx(5 / 7)
    accepted = decide(made.probabilities, threshold.value) != NONE_OF_THESE
    assert made.correct[accepted].mean() == pytest.approx(0.8)
    assert threshold_for_precision(made, 1.0).value == pytest.approx(0.9)


def test_equal_confidences_are_accepted_together(make_predictions) -> None:
    made = one_vs_rest(make_predictions, [(0.9, True), (0.8, True), (0.8, False), (0.1, True)])
    assert threshold_for_precision(made, 0.9).value == pytest.approx(0.9)


def test_unreachable_precision_names_the_best(make_predictions) -> None:
    made = one_vs_rest(make_predictions, [(0.9, False), (0.8, True), (0.7, False)])
    with pytest.raises(ValueError, match=r"precision 0\.9, the best is 0\.500"):
        threshold_for_precision(made, 0.9)
    with pytest.raises(ValueError, match="got 95"):
        threshold_for_precision(made, 95)


def test_decide() -> None:
    probabilities = np.array([[0.2, 0.9], [0.4, 0.3], [0.5, 0.1]], dtype=np.float32)
    assert decide(probabilities, 0.5).tolist() == [1, NONE_OF_THESE, 0]


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
    areas = [auroc(rng.normal(1, 1, 80), rng.normal(0, 1, 40)) for _ in range(400)]
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
