"""The comparison with fastai: who judges which image, and what the tables make of it."""

import csv
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.accuracy import FOLDS, subset, train, write_tables
from benchmarks.accuracy_report import Measured, contenders, curve, discordant, markdown, picture
from benchmarks.training_side import Run
from pets.evaluation.comparison import mcnemar_p


def measured(name: str, seed: int, wrong: list[str], minutes: float) -> Measured:
    epochs = [{"minutes": minutes * part, "cpu_minutes": minutes, "error": len(wrong) / 10} for part in (0.5, 1.0)]
    told: dict[str, Any] = {"wrong": wrong, "epochs": epochs, "load": [1.0, 2.0], "n": 10, "run": {"seed": seed}}
    return Measured.read(name, told)


RUNS = [
    measured("ours", 0, ["a"], 1.0),
    measured("fastai", 0, ["a", "b", "c"], 4.0),
    measured("ours", 1, ["d"], 2.0),
    measured("fastai", 1, ["e", "f"], 4.0),
    measured("ours, model.frozen_bn=train", 0, ["a", "g"], 1.0),
]


def test_each_image_is_judged_by_one_fold_and_every_class_is_in_each(tmp_path: Path) -> None:
    files = [f"{name}/{number}.jpg" for name in ("cat", "dog") for number in range(10)]
    tables = write_tables(tmp_path, files, [file.partition("/")[0] for file in files])
    judged: list[str] = []
    for path in tables:
        rows = list(csv.DictReader(path.read_text().splitlines()))
        assert [row["file"] for row in rows] == files
        valid = [row for row in rows if row["is_valid"] == "true"]
        assert {row["label"] for row in valid} == {"cat", "dog"}
        judged += [row["file"] for row in valid]
    assert len(tables) == FOLDS
    assert sorted(judged) == sorted(files)


def test_a_subset_is_of_classes_over_the_alphabet_by_folder_or_by_name(tmp_path: Path) -> None:
    for name in "abcde":
        (tmp_path / "folders" / name).mkdir(parents=True)
        for number in range(3):
            (tmp_path / "folders" / name / f"{number}.jpg").touch()
            (tmp_path / f"{name}_{number}.jpg").touch()
    files, labels = subset(tmp_path / "folders", 3, 2)
    assert files == ["a/0.jpg", "a/1.jpg", "c/0.jpg", "c/1.jpg", "e/0.jpg", "e/1.jpg"]
    assert labels == ["a", "a", "c", "c", "e", "e"]
    for path in (tmp_path / "folders").rglob("*.jpg"):
        path.unlink()
    assert subset(tmp_path, None, 1) == ([f"{name}_0.jpg" for name in "abcde"], list("abcde"))


def test_what_is_done_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Run("photos", "fold_0.csv", "resnet18", "default", 128, 2, 0, ("model.frozen_bn=train",))
    requests: list[list[str]] = []

    def run(command: list[str], **_: object) -> None:
        requests.append(command)
        told = {"run": json.loads(Path(command[-2]).read_text()), "load": [1.0, 2.0], "n": 10, "wrong": ["a"]}
        del told["run"]["started"]
        Path(command[-1]).write_text(json.dumps(told | {"epochs": [{"minutes": 1, "cpu_minutes": 1, "error": 0.1}]}))

    monkeypatch.setattr(subprocess, "run", run)
    assert train("ours", asked, "ours", tmp_path) == train("ours", asked, "ours", tmp_path)
    assert len(requests) == 1
    train("ours", replace(asked, epochs=3), "ours", tmp_path)
    assert len(requests) == 2


def test_pairs_are_counted_on_the_seeds_of_both() -> None:
    found = contenders(RUNS)
    assert discordant(found["ours"], found["fastai"]) == (1, 4)
    assert discordant(found["ours, model.frozen_bn=train"], found["ours"]) == (1, 0)


@pytest.mark.parametrize(
    ("pairs", "p"), [((0, 0), 1.0), ((1, 0), 1.0), ((0, 6), 0.03125), ((6, 0), 0.03125), ((5, 5), 1.0)]
)
def test_mcnemar_is_the_exact_binomial_test(pairs: tuple[int, int], p: float) -> None:
    assert mcnemar_p(*pairs) == pytest.approx(p)


def test_the_curve_weighs_every_image_alike() -> None:
    assert curve(contenders(RUNS)["fastai"]) == [(2.0, 0.25), (4.0, 0.25)]


def test_the_tables_give_error_time_and_the_paired_test() -> None:
    lines = markdown(RUNS).splitlines()
    ours = next(line for line in lines if line.startswith("| ours "))
    assert [cell.strip() for cell in ours.split("|")[2:5]] == ["2", "2 of 20", "0.1000"]
    assert [cell.strip() for cell in ours.split("|")[6:8]] == ["1.50", "0.38"]
    pair = next(line for line in lines if "| fastai " in line and line.startswith("| ours "))
    assert [cell.strip() for cell in pair.split("|")[3:6]] == ["1", "4", f"{mcnemar_p(1, 4):.4f}"]


def test_the_picture_draws_every_seed_and_the_centre_of_each_side() -> None:
    for axes in picture(RUNS).axes:
        assert len(axes.lines) == 2 * (2 + 1)
