"""The console says the error with its interval, the most confused pairs and where the pictures are."""

from pathlib import Path

import numpy as np
import pytest

from pets.evaluation import artifacts
from pets.evaluation.artifacts import console
from pets.evaluation.evaluate import Evaluation, Options
from pets.evaluation.report import report
from pets.evaluation.threshold import accepted
from pets.evaluation.tta import compare
from tests.evaluation.conftest import FromCounts


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


@pytest.mark.parametrize(("n_classes", "says"), [(5, False), (6, True)])
def test_top_5_is_left_out_with_five_classes_or_fewer(make_from_counts: FromCounts, n_classes: int, says: bool) -> None:
    predictions = make_from_counts(np.eye(n_classes, dtype=np.int64))
    whole = report(predictions)
    assert ("top-5 accuracy 100.0%" in console(Evaluation("test", predictions, whole), Path("run"))) == says
    assert ("top5_accuracy" in whole) == ("top5_accuracy" in whole["metrics"]) == says


def test_a_picture_that_fails_is_one_warning_and_the_others_are_there(
    make_from_counts: FromCounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    predictions = make_from_counts(np.array([[8, 2], [1, 9]]))
    monkeypatch.setattr(artifacts, "_draw_top_losses", lambda *args, **options: 1 / 0)
    monkeypatch.setattr(artifacts, "most_confused", lambda *args: (tmp_path / "nowhere").read_text())
    evaluation = Evaluation("valid", predictions, report(predictions))
    figures = artifacts.save(evaluation, None, None, Options(), tmp_path / "v")  # type: ignore[arg-type]
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [warning.partition(" is left out: ")[0] for warning in warnings] == [
        str(tmp_path / "v" / name) for name in ("most_confused.csv", "top_losses.png")
    ]
    assert warnings[1].endswith("division by zero")
    assert sorted(figures) == ["confusion", "confusion_normalised", "precision_recall", "recall", "reliability"]
    assert {path.name for path in (tmp_path / "v").iterdir()} == {
        *(f"{name}.png" for name in figures), "most_confused_pairs.csv", "predictions.csv", "predictions.npz",
        "report.json",
    }  # fmt: skip


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
