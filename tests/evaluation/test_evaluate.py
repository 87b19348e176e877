"""Thresholds are chosen once and applied anywhere; the key numbers of a report are flat and named by their part."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from pets.evaluation.evaluate import Evaluation, Options, accepted, choose_threshold, key_numbers
from pets.evaluation.predictions import Predictions
from pets.evaluation.report import report

MakePredictions = Callable[..., Predictions]


@pytest.fixture
def four(make_predictions: MakePredictions) -> Predictions:
    """Four predictions of two classes, from sure to unsure: right, right, wrong, right."""
    return make_predictions([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]], [0, 0, 1, 0])


def test_a_threshold_accepts_what_reaches_it(four: Predictions) -> None:
    threshold = choose_threshold(four, precision=1.0)
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


def test_key_numbers_are_those_of_the_report(four: Predictions) -> None:
    numbers = key_numbers(Evaluation("test", four, report(four) | {"threshold": accepted(four, 0.95)}))
    assert numbers["test/error_rate"] == 0.25
    assert (numbers["test/error_rate_low"], numbers["test/error_rate_high"]) == pytest.approx(
        (0.0456, 0.6994), abs=1e-4
    )
    assert (numbers["test/accuracy"], numbers["test/accuracy_macro"]) == (0.75, 0.5)
    assert (numbers["test/threshold"], numbers["test/threshold_coverage"]) == (0.95, 0.0)
    assert "test/threshold_precision" not in numbers
    assert all(isinstance(value, int | float) for value in numbers.values())


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"top_losses": 0}, "evaluate.top_losses=0"),
        ({"precision": 0.0}, "evaluate.precision=0.0"),
        ({"tta_n": -1}, "tta.n=-1"),
    ],
)
def test_options_out_of_range_are_named(option: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Options(**option)
