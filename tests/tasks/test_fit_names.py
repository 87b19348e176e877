"""Nothing that comes after the training costs the training: odd names, pictures and evaluations that fail."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig

from pets.data.image_table import read_excluded, read_relabelled
from pets.data.manifest import read_manifest
from pets.evaluation.predictions import Predictions
from pets.files import write_csv
from pets.tasks import fit

Compose = Callable[..., DictConfig]
ODD = ("=1+1_8$x^$.jpg", "caf\udce9_1.jpg", "-x\n_$_{.jpg", "'=1_1.jpg")
SMALL = (
    "model=timm", "model.arch=test_resnet", "recipe.freeze_epochs=0", "trainer.limit_train_batches=1",
    "evaluate.top_losses=40", "check.predictions=null", "data.split.valid_pct=0.5",
    "data.labeller.pattern='^(Birman|great_pyrenees|pug|[^a-z]*.)'", "evaluate.embedding=true",
)  # fmt: skip


@pytest.fixture
def photos(tiny_pets: Path, tmp_path: Path) -> Path:
    """A copy of the tiny set, to which a test may add."""
    return Path(shutil.copytree(tiny_pets, tmp_path / "photos"))


def test_a_fit_on_odd_names_leaves_all_that_a_fit_leaves(
    photos: Path, tiny_config: Compose, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ODD:
        for breed in ("pug", "Birman"):
            try:
                shutil.copy(photos / f"{breed}_1.jpg", photos / f"{breed}{name}")
            except OSError as error:
                pytest.skip(f"this file system refuses the name: {error}")
    cfg = tiny_config(*SMALL, f"data.root={photos}")
    fit.run(cfg)
    folder = Path(cfg.run_dir)
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == []
    assert json.loads((folder / "metrics.json").read_text())["n"]["valid"] == 16
    predictions = Predictions.load(folder / "valid")
    manifest = read_manifest(folder / "splits.json")
    assert predictions.files.tolist() == manifest.parts["valid"]
    files = [name for part in manifest.parts.values() for name in part]
    assert {os.fsencode(name) for name in files} == {os.fsencode(name) for name in os.listdir(photos)}
    assert set(read_excluded(folder / "valid" / "predictions.csv", files)) == set(predictions.files.tolist())


@pytest.mark.parametrize("name", ODD)
def test_what_a_table_names_is_read_back(name: str, photos: Path) -> None:
    table = photos / "table.csv"
    write_csv(table, ["file", "label"], [[name, "=pug"]])
    (photos / name).touch()
    assert list(read_excluded(table, [name])) == [name]
    assert read_relabelled(table, photos, [name]) == {name: "=pug"}


def test_an_evaluation_that_fails_is_an_error_after_the_metrics_are_there(
    photos: Path, tiny_config: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> None:
        raise ValueError("no numbers")

    monkeypatch.setattr("pets.evaluation.evaluate.report", broken)
    cfg = tiny_config(*SMALL, f"data.root={photos}")
    with pytest.raises(ValueError, match="no numbers"):
        fit.run(cfg)
    metrics = json.loads((Path(cfg.run_dir) / "metrics.json").read_text())
    assert 0 <= metrics["valid/error_rate"] <= 1
    assert (Path(cfg.run_dir) / "checkpoints" / "last.ckpt").is_file()


def test_a_picture_of_the_first_batch_that_fails_does_not_stop_the_training(
    photos: Path, tiny_config: Compose, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pets.callbacks.dashboards.before_and_after", lambda *args: torch.zeros(1) @ torch.zeros(2))
    cfg = tiny_config(*SMALL, f"data.root={photos}", "evaluate.at_end=false")
    fit.run(cfg)
    assert (Path(cfg.run_dir) / "metrics.json").is_file()
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert warnings[0].startswith("view/first_batch is left out: ")


def test_a_class_whose_name_cannot_be_encoded_is_refused_before_the_training(
    photos: Path, tiny_config: Compose
) -> None:
    try:
        shutil.copy(photos / "pug_1.jpg", photos / "caf\udce9_1.jpg")
    except OSError as error:
        pytest.skip(f"this file system refuses the name: {error}")
    cfg = tiny_config(f"data.root={photos}")
    with pytest.raises(ValueError, match=r"the classes 'caf\\udce9' are no UTF-8") as caught:
        fit.run(cfg)
    assert str(caught.value).isprintable()
    assert not (Path(cfg.run_dir) / "metrics.json").exists()
