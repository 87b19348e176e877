"""The Python API: what is printed, what is returned, what is written, and that it is what the commands do."""

import csv
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import DictConfig

import pets
from pets.data.datamodule import ImageDataModule
from pets.errors import UserError
from pets.evaluation.predictions import Predictions
from pets.tasks import fit as task

RECIPE = pets.fine_tune(epochs=1, base_lr=0.01)


@pytest.fixture
def data(tiny_pets: Path) -> ImageDataModule:
    return ImageDataModule(
        pets.ImageFolder(tiny_pets), pets.RegexLabeller(), pets.SplitRule(), pets.BatchTransform(size=32),
        presize=pets.Presize(40), batch_size=8, num_workers=0,
    )  # fmt: skip


@pytest.fixture
def model() -> pets.Classifier:
    torch.manual_seed(0)
    classes = ("Birman", "great_pyrenees", "pug")
    return pets.Classifier("resnet18", classes=classes, weights=None, head={"hidden": 8})


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_fit_shows_the_table_and_leaves_nothing(
    model: pets.Classifier, data: ImageDataModule, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = pets.fit(model, data, RECIPE, accelerator="cpu")
    said, errors = capfd.readouterr()
    assert [row["phase"] for row in rows] == ["frozen", "unfrozen"]
    assert all(f"{row['error_rate']:.6f}" in said for row in rows)
    assert "error_rate" in said
    assert "Trainer" not in said
    assert "lightning" not in (said + errors).lower()
    assert errors == ""
    assert list(here.iterdir()) == []


def test_a_fit_in_a_folder_is_what_the_predictor_and_the_evaluation_read(
    model: pets.Classifier, data: ImageDataModule, here: Path, tiny_pets: Path
) -> None:
    rows = pets.fit(model, data, RECIPE, accelerator="cpu", folder="run")
    assert {str(path) for path in Path("run").rglob("*") if path.is_file()} == {
        "run/history.csv",
        "run/checkpoints/last.ckpt",
    }
    with open("run/history.csv", encoding="utf-8", newline="") as file:
        assert [float(row["error_rate"]) for row in csv.DictReader(file)] == [row["error_rate"] for row in rows]
    photos = sorted(tiny_pets.glob("*_1.jpg"))
    ours = pets.predictor(model, data)(photos)
    loaded = pets.Predictor.load("run")(photos)
    assert all(np.array_equal(a.probabilities, b.probabilities) for a, b in zip(ours, loaded, strict=True))
    with pytest.raises(UserError, match="folder=run holds a run"):
        pets.fit(model, data, RECIPE, folder="run")


def test_evaluate_agrees_with_the_last_epoch_and_the_predictor(
    model: pets.Classifier, data: ImageDataModule, here: Path, tiny_pets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = pets.fit(model, data, RECIPE, accelerator="cpu", precision="32-true")
    capsys.readouterr()
    evaluation = pets.evaluate(model, data)
    assert evaluation.report["error_rate"] == pytest.approx(rows[-1]["error_rate"])
    assert f"valid: {evaluation.report['wrong']} of {evaluation.report['n']} images wrong" in capsys.readouterr().out
    assert list(here.iterdir()) == []
    again = pets.predictor(model, data)([tiny_pets / file for file in evaluation.predictions.files])
    assert np.allclose([one.probabilities for one in again], evaluation.predictions.probabilities, atol=1e-6)
    pets.evaluate(model, data, folder="valid")
    assert np.array_equal(Predictions.load(Path("valid")).probabilities, evaluation.predictions.probabilities)
    assert Path("valid/confusion.png").is_file()


def test_the_lr_finder_speaks_and_leaves_model_and_folder_as_they_are(
    model: pets.Classifier, data: ImageDataModule, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    curve = pets.find_lr(model, data, RECIPE, accelerator="cpu")
    said = capsys.readouterr().out
    assert said.startswith("trainer.precision=auto: ")
    assert "\nLR finder: up to 100 steps" in said
    assert said.count("LR finder: ") == 2
    assert len(curve.losses) > 30
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert list(here.iterdir()) == []


def test_a_fit_trains_to_the_weights_of_the_command(
    data: ImageDataModule, tiny_config: Callable[..., DictConfig], tmp_path: Path
) -> None:
    cfg = tiny_config(f"run_dir={tmp_path / 'run'}", "evaluate.at_end=false")
    task.run(cfg)
    torch.manual_seed(cfg.seed)
    model = pets.Classifier("resnet18", classes=("Birman", "great_pyrenees", "pug"), weights=None, head={"hidden": 8})
    pets.fit(model, data, pets.fine_tune(epochs=1), accelerator="cpu", precision="32-true")
    trained = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(tensor, trained[name]) for name, tensor in model.state_dict().items())


def test_logging_is_put_back(model: pets.Classifier, data: ImageDataModule) -> None:
    loggers = [logging.getLogger(name) for name in ("pets", "lightning.pytorch")]
    before = [(logger.level, logger.propagate, list(logger.handlers)) for logger in loggers]
    with pytest.raises(UserError):
        pets.evaluate(model, data, "banana")  # type: ignore[arg-type]
    pets.fit(model, data, RECIPE, accelerator="cpu")
    assert [(logger.level, logger.propagate, list(logger.handlers)) for logger in loggers] == before
