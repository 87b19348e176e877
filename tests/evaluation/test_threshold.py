import logging

import pytest

from pets.evaluation.predictions import Predictions
from pets.evaluation.threshold import accepted, choose_threshold, threshold_for_precision
from tests.evaluation.conftest import MakePredictions


def one_vs_rest(make_predictions: MakePredictions, rows: list[tuple[float, bool]]) -> Predictions:
    """Predictions of class 0 with a confidence each, right or wrong."""
    return make_predictions([[p, 0.0] for p, _ in rows], [0 if right else 1 for _, right in rows])


def test_threshold_is_the_lowest_that_reaches_the_precision(make_predictions: MakePredictions) -> None:
    rows = [(0.9, True), (0.8, False), (0.7, True), (0.6, True), (0.5, True), (0.4, False), (0.3, False)]
    made = one_vs_rest(make_predictions, rows)
    threshold = threshold_for_precision(made, 0.8)
    assert threshold.value == pytest.approx(0.5)
    assert threshold.precision.value == pytest.approx(0.8)
    assert threshold.precision.low < 0.8 < threshold.precision.high
    assert threshold.coverage == pytest.approx(5 / 7)
    accepted = made.confidence >= threshold.value
    assert made.correct[accepted].mean() == pytest.approx(0.8)
    assert threshold_for_precision(made, 1.0).value == pytest.approx(0.9)


def test_equal_confidences_are_accepted_together(make_predictions: MakePredictions) -> None:
    made = one_vs_rest(make_predictions, [(0.9, True), (0.8, True), (0.8, False), (0.1, True)])
    assert threshold_for_precision(made, 0.9).value == pytest.approx(0.9)


def test_unreachable_precision_names_the_best(make_predictions: MakePredictions) -> None:
    made = one_vs_rest(make_predictions, [(0.9, False), (0.8, True), (0.7, False)])
    with pytest.raises(ValueError, match=r"precision 0\.9, the best is 0\.500"):
        threshold_for_precision(made, 0.9)
    with pytest.raises(ValueError, match="got 95"):
        threshold_for_precision(made, 95)


def test_a_threshold_accepts_what_reaches_it(four: Predictions) -> None:
    threshold = choose_threshold(four, precision=1.0)
    assert threshold is not None
    assert threshold == pytest.approx(0.8)
    chosen = accepted(four, threshold)
    assert (chosen["accepted"], chosen["coverage"]) == (2, 0.5)
    assert chosen["precision"] == pytest.approx({"value": 1.0, "low": 0.342, "high": 1.0}, abs=1e-3)
    assert accepted(four, 0.95) == {"value": 0.95, "accepted": 0, "precision": None, "coverage": 0.0}


def test_a_precision_out_of_reach_is_told_and_sets_none(
    make_predictions: MakePredictions, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert choose_threshold(make_predictions([[0.9, 0.1], [0.8, 0.2]], [1, 0]), precision=0.9) is None
    assert "evaluate.precision=0.9: no threshold reaches precision 0.9, the best is 0.500" in caplog.text
