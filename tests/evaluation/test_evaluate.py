"""The key numbers of a report are flat and named by their part; options are checked."""

from typing import Any

import pytest

from pets.evaluation.evaluate import Evaluation, Options, key_numbers
from pets.evaluation.predictions import Predictions
from pets.evaluation.report import report
from pets.evaluation.threshold import accepted


def test_key_numbers_are_those_of_the_report(four: Predictions) -> None:
    numbers = key_numbers(Evaluation("test", four, report(four) | {"threshold": accepted(four, 0.95)}))
    assert numbers["test/error_rate"] == 0.25
    assert (numbers["test/error_rate_low"], numbers["test/error_rate_high"]) == pytest.approx(
        (0.0456, 0.6994), abs=1e-4
    )
    assert (numbers["test/accuracy"], numbers["test/accuracy_macro"]) == (0.75, 0.5)
    assert (numbers["test/threshold"], numbers["test/threshold_coverage"]) == (0.95, 0.0)
    assert "test/threshold_precision" not in numbers
    assert "test/top5_accuracy" not in numbers
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
