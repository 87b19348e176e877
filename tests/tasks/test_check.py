"""`task=check` finds what would make an error rate a lie, and what a classifier doubts; it changes nothing."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from omegaconf import DictConfig
from PIL import Image

from pets.data.manifest import read_manifest
from pets.data.sources.table import CsvTable
from pets.evaluation.interpretation import suspects
from pets.evaluation.predictions import Predictions
from pets.tasks import check, fit

Compose = Callable[..., DictConfig]


@pytest.fixture
def photos(tiny_pets: Path, tmp_path: Path) -> Path:
    """A copy of the tiny set that a test may spoil."""
    return Path(shutil.copytree(tiny_pets, tmp_path / "photos"))


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def picture(seed: int) -> Image.Image:
    """A picture whose large shapes tell it from the others."""
    blocks = np.random.default_rng(seed).integers(0, 256, (4, 4, 3)).astype(np.uint8)
    return Image.fromarray(blocks).resize((64, 64), Image.Resampling.BICUBIC)


def test_a_duplicate_across_the_split_is_found_and_pictured(photos: Path, tiny_config: Compose) -> None:
    for seed, file in enumerate(sorted(photos.glob("*.jpg"))):
        picture(seed).save(file, quality=95)
    cfg = tiny_config(f"data.root={photos}", "check.min_side=1")
    fit.run(cfg)
    parts = read_manifest(Path(cfg.run_dir) / "splits.json").parts
    picture(99).save(photos / parts["train"][0], quality=95)
    picture(99).resize((50, 50)).save(photos / parts["valid"][0], quality=80)

    checked = tiny_config(f"data.root={photos}", "task=check", f"run_dir={photos.parent / 'check'}")
    check.run(checked)
    folder = Path(checked.run_dir)
    double = rows(folder / "duplicates.csv")[0]
    assert {double["first"], double["second"]} == {parts["train"][0], parts["valid"][0]}
    assert {double["first_part"], double["second_part"]} == {"train", "valid"}
    assert json.loads((folder / "check.json").read_text())["duplicates"]["across parts"] == 1
    assert (folder / "duplicates.png").stat().st_size > 0


def test_broken_files_and_names_without_a_label_are_reported_and_kept(photos: Path, tiny_config: Compose) -> None:
    (photos / "pug_77.jpg").write_bytes(b"")
    (photos / "holiday.jpg").write_bytes((photos / "pug_1.jpg").read_bytes())
    before = {path.name: path.read_bytes() for path in photos.iterdir()}
    cfg = tiny_config(f"data.root={photos}")
    check.run(cfg)
    found = {(row["kind"], row["file"]) for row in rows(Path(cfg.run_dir) / "findings.csv")}
    assert {("unreadable", "pug_77.jpg"), ("no label", "holiday.jpg")} <= found
    assert {path.name: path.read_bytes() for path in photos.iterdir()} == before
    labels = json.loads((Path(cfg.run_dir) / "check.json").read_text())["labels"]
    assert labels == {"pug": 9, "Birman": 8, "great_pyrenees": 8}


def test_doubted_labels_can_be_fed_back(photos: Path, tiny_config: Compose, tmp_path: Path) -> None:
    files = np.array(["Birman_1.jpg", "pug_2.jpg", "pug_3.jpg"])
    probabilities = np.array([[0.05, 0.0, 0.95], [0.6, 0.0, 0.4], [0.0, 0.0, 1.0]], dtype=np.float32)
    classes = ("Birman", "great_pyrenees", "pug")
    targets = np.array([0, 2, 2])
    losses = -np.log(probabilities[np.arange(3), targets]).astype(np.float32)
    predictions = Predictions(probabilities, targets, losses, files, classes)
    predictions.save(tmp_path)
    assert [suspect.file for suspect in suspects(predictions, 0.5)] == ["Birman_1.jpg", "pug_2.jpg"]

    cfg = tiny_config(f"data.root={photos}", f"check.predictions={tmp_path}")
    check.run(cfg)
    table = Path(cfg.run_dir) / "suspects.csv"
    assert [(row["file"], row["label"], row["actual"]) for row in rows(table)] == [("Birman_1.jpg", "pug", "Birman")]
    again = tiny_config(f"data.root={photos}", f"data.relabel={table}", f"run_dir={tmp_path / 'again'}")
    check.run(again)
    labels = json.loads((Path(again.run_dir) / "check.json").read_text())["labels"]
    assert labels == {"pug": 9, "great_pyrenees": 8, "Birman": 7}


def test_a_photograph_whose_name_says_nothing_gets_its_label_from_the_corrections(
    photos: Path, tiny_config: Compose, tmp_path: Path
) -> None:
    (photos / "photographs").mkdir()
    shutil.copy(photos / "pug_1.jpg", photos / "photographs" / "abcdef.jpg")
    table = photos / "corrections.csv"
    table.write_text("file,label\nphotographs/abcdef.jpg,pug\n", encoding="utf-8")
    cfg = tiny_config(f"data.root={photos}", f"data.relabel={table}")
    check.run(cfg)
    found = json.loads((Path(cfg.run_dir) / "check.json").read_text())
    assert "no label" not in found["findings"]
    assert found["labels"] == {"pug": 9, "Birman": 8, "great_pyrenees": 8}


def test_the_table_of_labels_is_built_once_a_labeller_not_once_a_file(
    photos: Path, tiny_config: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"{file.name},{file.name.rsplit('_', 1)[0]}" for file in sorted(photos.glob("*.jpg"))]
    (photos / "labels.csv").write_text("\n".join(["file,label", *lines]) + "\n", encoding="utf-8")
    built = []
    labels = CsvTable.labels

    def counted(table: CsvTable) -> dict[str, str]:
        built.append(table)
        return labels(table)

    monkeypatch.setattr(CsvTable, "labels", counted)
    cfg = tiny_config("data=csv", f"data.root={photos}")
    check.run(cfg)
    assert sum(json.loads((Path(cfg.run_dir) / "check.json").read_text())["labels"].values()) == len(lines)
    assert len(built) == 2  # for the names, and for the data module


def test_a_class_of_few_images_is_a_row_and_the_way_out_is_named(
    photos: Path, tiny_config: Compose, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(5):
        (photos / f"pug_{number}.jpg").unlink()
    cfg = tiny_config(f"data.root={photos}")
    with caplog.at_level("INFO"):
        check.run(cfg)
    found = {(row["kind"], row["detail"]) for row in rows(Path(cfg.run_dir) / "findings.csv")}
    assert ("few images", "pug: 3") in found
    assert "1 few images     pug: 3" in caplog.text
    assert "a class needs 5 images or more" in caplog.text
    assert sum("images" in message and "train" in message for message in caplog.messages) == 1, "said once"


def test_the_picture_of_suspects_names_the_files(
    photos: Path, tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probabilities = np.array([[0.05, 0.95]], dtype=np.float32)
    losses, files = np.array([3.0], dtype=np.float32), np.array(["Birman_1.jpg"])
    Predictions(probabilities, np.array([0]), losses, files, ("Birman", "pug")).save(tmp_path)
    titles: list[str] = []
    draw = check.image_grid

    def listen(images: list[torch.Tensor], said: list[str], **how: Any) -> Figure:
        titles.extend(said)
        return draw(images, said, **how)

    monkeypatch.setattr(check, "image_grid", listen)
    check.run(tiny_config(f"data.root={photos}", f"check.predictions={tmp_path}"))
    assert titles == ["Birman? rather pug (95%) Birman_1.jpg"]


def test_kept_images_are_read_again_and_mended(
    photos: Path, tiny_config: Compose, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(photos.parent / "cache"))
    caplog.set_level("INFO", "pets")
    for number in range(2):
        check.run(tiny_config(f"data.root={photos}", "data.cache=disk", f"run_dir={photos.parent / str(number)}"))
    assert [text.split(", ")[2][:6] for text in caplog.messages if text.startswith("cache: ")] == ["built ", "reused"]
    (kept,) = (photos.parent / "cache").rglob("*.bin")
    kept.write_bytes(bytes(kept.stat().st_size))
    check.run(tiny_config(f"data.root={photos}", "data.cache=disk", f"run_dir={photos.parent / 'last'}"))
    assert f"cache: {kept} is damaged and built anew" in caplog.messages


def test_labels_are_searched_by_features_without_a_run(tiny_config: Compose) -> None:
    cfg = tiny_config("task=check", "check.features=true", "check.min_side=1")
    check.run(cfg)
    folder = Path(cfg.run_dir)
    counted = json.loads((folder / "check.json").read_text())["suspects"]
    assert len(rows(folder / "suspects.csv")) == counted
    assert (folder / "suspects.png").exists() == (counted > 0)


def test_a_file_that_cannot_be_read_leaves_the_labels_unsearched_and_the_rest_reported(
    photos: Path, tiny_config: Compose, caplog: pytest.LogCaptureFixture
) -> None:
    sorted(photos.glob("*.jpg"))[0].write_bytes(b"no image")
    cfg = tiny_config(f"data.root={photos}", "task=check", "check.features=true")
    check.run(cfg)
    assert "check.features: labels are not searched" in caplog.text
    assert any(row["kind"] == "unreadable" for row in rows(Path(cfg.run_dir) / "findings.csv"))
