"""The console says the error with its interval, the most confused pairs and where the pictures are."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pets.evaluation.artifacts import console
from pets.evaluation.evaluate import Evaluation, accepted
from pets.evaluation.predictions import Predictions
from pets.evaluation.report import report
from pets.evaluation.tta import compare

FromCounts = Callable[[np.ndarray], Predictions]


def test_console_in_full(make_from_counts: FromCounts) -> None:
    predictions = make_from_counts(np.array([[8, 2, 0], [1, 9, 0], [0, 1, 19]]))
    whole = report(predictions)
    whole["tta"] = {"passes": 4, **compare(predictions, predictions)}
    whole["threshold"] = accepted(predictions, 0.5)
    said = console(Evaluation("valid", predictions, whole), Path("run/valid")).splitlines()
    assert said[2].startswith("  calibration error 0.")
    assert [*said[:2], *said[3:]] == [
        "valid: 4 of 40 images wrong",
        "  error 10.0%, 95% interval 4.0% to 23.1%",
        "  with 4 augmented passes: error 10.0% (95% interval 4.0% to 23.1%); "
        "0 predictions changed, 0 corrected, 0 spoiled",
        "  from probability 0.500 on: 40 of 40 images accepted, 90.0% of them right",
        "  most confused:",
        "      2 x  a  taken for  b",
        "  pictures and tables: run/valid",
    ]


def test_console_of_a_perfect_part(make_from_counts: FromCounts) -> None:
    predictions = make_from_counts(np.diag([3, 4]))
    said = console(Evaluation("test", predictions, report(predictions)), Path("run/test"))
    assert "error 0.0%, 95% interval 0.0% to 35.4%" in said
    assert "confused" not in said


def test_single_mistakes_and_confusions_beyond_the_first_five_are_left_to_the_file(
    make_from_counts: FromCounts,
) -> None:
    counts = np.full((3, 3), 2) + np.diag([7, 7, 7])
    counts[0, 1], counts[2, 0] = 4, 1
    said = console(Evaluation("valid", made := make_from_counts(counts), report(made)), Path("run/valid")).splitlines()
    assert "  most confused:" in said
    assert said[said.index("  most confused:") + 1 :][:1] == ["      4 x  a  taken for  b"]
    assert not [line for line in said if " 1 x" in line]
    many = make_from_counts(np.full((3, 3), 2))
    assert "  most confused, 1 more in most_confused.csv:" in console(
        Evaluation("valid", many, report(many)), Path("x")
    )


@pytest.mark.parametrize(("n_classes", "told"), [(5, False), (6, True)])
def test_top_5_is_told_where_it_says_something(make_from_counts: FromCounts, n_classes: int, told: bool) -> None:
    made = make_from_counts(np.eye(n_classes, dtype=np.int64))
    assert ("top-5" in console(Evaluation("valid", made, report(made)), Path("x"))) is told
