"""Rows of a CSV or a JSON Lines file: the ranking, the error, the decision; whole or not there."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pets.deploy.prediction_file import writing
from pets.deploy.predictor import Prediction

TOP = (("pug", 0.75), ("Birman", 0.25))
PREDICTION = Prediction("pug", 0.75, True, TOP, np.array([0.25, 0.75], np.float32))


def model(*, refuses: bool = False) -> Any:
    return SimpleNamespace(classes=("Birman", "pug"), top_k=5, refuses=refuses)


def test_csv(tmp_path: Path) -> None:
    with writing(tmp_path / "p.csv", model()) as write:
        write("a,b.jpg", PREDICTION)
        write("c.jpg", "the file is empty")
        assert not (tmp_path / "p.csv").exists()
    rows = list(csv.DictReader((tmp_path / "p.csv").read_text().splitlines()))
    assert rows == [
        {"file": "a,b.jpg", "label": "pug", "probability": "0.750000", "label_2": "Birman", "probability_2": "0.250000",
         "error": ""},
        {"file": "c.jpg", "label": "", "probability": "", "label_2": "", "probability_2": "",
         "error": "the file is empty"},
    ]  # fmt: skip


def test_json_lines(tmp_path: Path) -> None:
    with writing(tmp_path / "p.jsonl", model(refuses=True)) as write:
        write("a.jpg", PREDICTION)
        write("c.jpg", "the file is empty")
    first, second = (json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines())
    top = [{"label": label, "probability": probability} for label, probability in TOP]
    assert first == {"file": "a.jpg", **top[0], "top": top, "error": None, "accepted": True}
    assert second == {"file": "c.jpg", "label": None, "probability": None, "top": [], "error": "the file is empty"}


def test_a_model_that_may_refuse_adds_a_column(tmp_path: Path) -> None:
    with writing(tmp_path / "p.csv", model(refuses=True)) as write:
        write("a.jpg", PREDICTION)
        write("b.jpg", "broken")
    rows = list(csv.DictReader((tmp_path / "p.csv").read_text().splitlines()))
    assert [row["accepted"] for row in rows] == ["true", ""]
    assert [row["error"] for row in rows] == ["", "broken"]


@pytest.mark.parametrize("name", ["p.csv", "p.jsonl"])
def test_a_name_that_is_not_utf_8_does_not_end_the_run(name: str, tmp_path: Path) -> None:
    with writing(tmp_path / name, model()) as write:
        write("caf\udce9.jpg", PREDICTION)
    assert "caf\\udce9.jpg" in (tmp_path / name).read_text(encoding="utf-8")


def test_an_interrupted_run_leaves_no_table_that_looks_whole(tmp_path: Path) -> None:
    def interrupted() -> None:
        with writing(tmp_path / "p.csv", model()):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not (tmp_path / "p.csv").exists()
