"""Predicting from the command line: a row for every image in its order, an exit code for those that cannot be read."""

import csv
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from pets import Predictor
from pets.tasks import predict
from tests.deploy.conftest import save_checkpoint

Compose = Callable[..., DictConfig]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained") / "last.ckpt"
    save_checkpoint(path)
    return path


@pytest.fixture
def configured(tiny_config: Compose, checkpoint: Path) -> Compose:
    """Compose the task with that checkpoint."""
    return lambda *overrides: tiny_config(
        "task=predict", f"ckpt_path={checkpoint}", "predict.device=cpu", "predict.batch_size=4", *overrides
    )


def rows(cfg: DictConfig) -> list[dict[str, str]]:
    return list(csv.DictReader((Path(cfg.run_dir) / "predictions.csv").read_text().splitlines()))


def test_a_folder(configured: Compose, checkpoint: Path, tiny_pets: Path, caplog: pytest.LogCaptureFixture) -> None:
    cfg = configured(f"source={tiny_pets}", "predict.top_k=2")
    with caplog.at_level(logging.INFO):
        predict.run(cfg)
    written = rows(cfg)
    photos = sorted(tiny_pets.glob("*.jpg"))
    assert [row["file"] for row in written] == [photo.name for photo in photos]
    assert list(written[0]) == ["file", "label", "probability", "label_2", "probability_2", "error"]
    for row, prediction in zip(written, Predictor.load(checkpoint, batch_size=4)(photos), strict=True):
        assert row["label"] == prediction.label
        assert float(row["probability"]) == pytest.approx(prediction.probability, abs=1e-6)
        assert row["error"] == ""
    assert f"24 images of {tiny_pets}" in caplog.text
    assert written[0]["label"] in caplog.text
    assert (Path(cfg.run_dir) / "config.yaml").is_file()


def test_json_lines_of_one_image(configured: Compose, tiny_pets: Path, caplog: pytest.LogCaptureFixture) -> None:
    cfg = configured(f"source={tiny_pets}/pug_0.jpg", "predict.format=jsonl")
    with caplog.at_level(logging.INFO):
        predict.run(cfg)
    row = json.loads((Path(cfg.run_dir) / "predictions.jsonl").read_text())
    assert row["file"] == "pug_0.jpg"
    assert len(row["top"]) == 3
    assert f"pug_0.jpg: {row['label']} {row['probability']:.3f}" in caplog.text


def test_an_unreadable_image_costs_its_row_and_the_exit_code(
    configured: Compose, tiny_pets: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.jpg").write_bytes((tiny_pets / "pug_0.jpg").read_bytes())
    (tmp_path / "b.jpg").write_bytes((tiny_pets / "pug_0.jpg").read_bytes()[:300])
    (tmp_path / "list.csv").write_text("file\nb.jpg\nmissing.jpg\na.jpg\n")
    cfg = configured(f"source={tmp_path}/list.csv")
    with caplog.at_level(logging.INFO), pytest.raises(SystemExit) as caught:
        predict.run(cfg)
    assert caught.value.code == predict.UNREADABLE == 1
    broken, missing, good = rows(cfg)
    assert broken["file"] == "b.jpg"
    assert broken["error"].startswith("cannot be decoded")
    assert (missing["file"], missing["label"], missing["error"]) == ("missing.jpg", "", "no such file")
    assert (good["file"], good["error"]) == ("a.jpg", "")
    assert "2 could not be read\n    b.jpg: cannot be decoded" in caplog.text


def test_the_tally_counts_classes_and_refusals(configured: Compose, checkpoint: Path, tiny_pets: Path) -> None:
    predictor = Predictor.load(checkpoint)
    predictor.threshold = 2.0
    tally = predict.Tally()
    for photo, prediction in zip(photos := sorted(tiny_pets.glob("*.jpg")), predictor(photos), strict=True):
        tally.add(photo.name, prediction)
    assert tally.lines() == [f"  {len(photos)} refused: none of the classes"]
