"""Evaluating a run again gives the numbers that its fit ended with; what cannot be evaluated is refused in one line."""

import csv
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import DictConfig
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pets import Predictor
from pets.evaluation.predictions import Predictions
from pets.tasks import evaluate, fit

Compose = Callable[..., DictConfig]
EXTRAS = (
    "data.split.test_pct=0.2", "model.frozen_bn=train", "loss=one_vs_rest", "evaluate.precision=0.3",
    "evaluate.false_alarms=0.3", "evaluate.top_losses=2", "tta.n=2",
)  # fmt: skip


@pytest.fixture(scope="module")
def fitted(tiny_config: Compose) -> Path:
    """The folder of a fit with three parts, evaluated at its end with a threshold and test-time augmentation."""
    cfg = tiny_config(*EXTRAS)
    fit.run(cfg)
    return Path(cfg.run_dir)


def metrics_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return content


def test_a_fit_ends_with_an_evaluation_of_both_parts(fitted: Path) -> None:
    for part in ("valid", "test"):
        assert {path.name for path in (fitted / part).iterdir()} == {
            "confusion.png", "confusion_normalised.png", "most_confused.csv", "most_confused_pairs.csv",
            "predictions.csv", "predictions.npz", "recall.png", "reliability.png", "report.json", "top_losses.png",
        }  # fmt: skip


def test_report_and_metrics_agree_with_what_the_training_measured(fitted: Path) -> None:
    metrics, report = metrics_of(fitted), json.loads((fitted / "valid" / "report.json").read_text())
    last = list(csv.DictReader((fitted / "history.csv").read_text().splitlines()))[-1]
    assert report["n"] == metrics["n"]["valid"]
    assert metrics["valid/error_rate"] == report["error_rate"] == pytest.approx(float(last["error_rate"]))
    assert metrics["valid/loss"] == report["loss"] == pytest.approx(float(last["valid_loss"]), rel=1e-5)
    assert metrics["valid/accuracy_macro"] == pytest.approx(float(last["accuracy_macro"]))
    assert metrics["valid/error_rate_low"] <= metrics["valid/error_rate"] <= metrics["valid/error_rate_high"]
    assert metrics["valid/ece"] == report["calibration"]["ece"]


def test_augmented_passes_are_reported_beside_the_plain_predictions(fitted: Path) -> None:
    report = json.loads((fitted / "test" / "report.json").read_text())
    assert report["tta"]["error_rate"]["plain"]["value"] == report["error_rate"]
    assert report["tta"]["passes"] == 2
    assert metrics_of(fitted)["test/tta/error_rate"] == report["tta"]["error_rate"]["tta"]["value"]


def test_the_threshold_is_chosen_on_valid_and_used_on_test(fitted: Path) -> None:
    valid, test = (json.loads((fitted / part / "report.json").read_text())["threshold"] for part in ("valid", "test"))
    assert valid["value"] == test["value"] == metrics_of(fitted)["test/threshold"]
    assert valid["precision"]["value"] >= valid["precision_wanted"] == 0.3
    predictions = Predictions.load(fitted / "test")
    assert test["accepted"] == int((predictions.confidence >= test["value"]).sum())


def test_the_detector_of_the_final_weights_is_kept_with_them(fitted: Path, tiny_pets: Path) -> None:
    report = json.loads((fitted / "test" / "report.json").read_text())["unknown"]
    assert report["share"]["value"] == metrics_of(fitted)["test/refused"]
    assert report["wanted"] == Predictor.load(fitted).metadata.false_alarms == 0.3
    predictions = Predictor.load(fitted)([tiny_pets / file for file in Predictions.load(fitted / "test").files])
    assert sum(not one.accepted for one in predictions) == report["refused"]


def test_tensorboard_stays_one_file_and_shows_figures_curves_and_numbers(fitted: Path) -> None:
    assert len(list(fitted.rglob("events.out.tfevents.*"))) == 1
    accumulator = EventAccumulator(str(fitted))
    accumulator.Reload()
    tags = accumulator.Tags()
    assert {"view/valid/confusion", "view/test/top_losses", "view/test/reliability"} <= set(tags["images"])
    assert {"valid/ece", "test/error_rate", "test/tta/error_rate"} <= set(tags["scalars"])
    assert len(accumulator.Scalars("valid/error_rate")) == 2  # one an epoch, none twice
    assert not [tag for tag in tags["tensors"] if "precision_recall" in tag], "the classes have fewer than ten images"


@pytest.mark.parametrize("part", ["valid", "test"])
def test_evaluating_the_run_again_gives_what_its_fit_ended_with(part: str, fitted: Path, tiny_config: Compose) -> None:
    cfg = tiny_config(
        "task=evaluate", f"ckpt_path={fitted}", f"evaluate.part={part}", *EXTRAS, "optimized_metric=valid/loss"
    )
    value = evaluate.run(cfg)
    again, metrics = metrics_of(Path(cfg.run_dir)), metrics_of(fitted)
    assert {name: again[name] for name in again if name.startswith(part)} == {
        name: metrics[name] for name in metrics if name.startswith(part)
    }
    for name in ("predictions.npz", "predictions.csv", "report.json", "most_confused.csv"):
        assert (Path(cfg.run_dir) / part / name).read_bytes() == (fitted / part / name).read_bytes()
    assert value == (metrics["valid/loss"] if part == "valid" else None)


def test_the_training_part_is_seen_without_augmentation(fitted: Path, tiny_config: Compose) -> None:
    probabilities = []
    for seed in (1, 2):
        cfg = tiny_config("task=evaluate", f"ckpt_path={fitted}", "evaluate.part=train", f"seed={seed}", EXTRAS[0])
        evaluate.run(cfg)
        probabilities.append(Predictions.load(Path(cfg.run_dir) / "train").probabilities)
    assert len(probabilities[0]) == metrics_of(fitted)["n"]["train"]
    one, other = probabilities
    assert np.array_equal(one, other)


def test_images_are_treated_as_the_checkpoint_says(
    fitted: Path, tiny_config: Compose, caplog: pytest.LogCaptureFixture
) -> None:
    cfg = tiny_config(
        "task=evaluate", f"ckpt_path={fitted / 'checkpoints' / 'last.ckpt'}", EXTRAS[0], "augment.size=64",
        "data.presize.method=squish",
    )  # fmt: skip
    with caplog.at_level(logging.WARNING):
        evaluate.run(cfg)
    assert "augment.size=32, as in the checkpoint, instead of 64" in caplog.text
    assert "data.presize.method=crop, as in the checkpoint, instead of squish" in caplog.text
    assert metrics_of(Path(cfg.run_dir))["valid/loss"] == metrics_of(fitted)["valid/loss"]


def test_images_that_were_trained_on_are_told(
    fitted: Path, tiny_config: Compose, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        evaluate.run(tiny_config("task=evaluate", f"ckpt_path={fitted}", EXTRAS[0], "data.split.seed=1"))
    assert "of the part 'valid' are among those" in caplog.text


def test_a_checkpoint_of_other_classes_is_refused(
    fitted: Path, tiny_config: Compose, tmp_path: Path, tiny_pets: Path
) -> None:
    for path in tiny_pets.glob("*.jpg"):
        (tmp_path / path.name.replace("pug", "Bengal")).symlink_to(path)
    with pytest.raises(ValueError, match=r"^8 of 24 labels are none of the 3 classes .*: 'Bengal'"):
        evaluate.run(tiny_config("task=evaluate", f"ckpt_path={fitted}", f"data.root={tmp_path}"))
    with pytest.raises(ValueError, match=r"^data.classes=\['a', 'b'\]: the checkpoint .* knows the classes \['Birman'"):
        evaluate.run(tiny_config("task=evaluate", f"ckpt_path={fitted}", "data.classes=[a,b]"))


@pytest.mark.parametrize(
    ("path", "says"),
    [("nowhere/last.ckpt", "^ckpt_path=nowhere/last.ckpt: no such file")],
)
def test_a_missing_checkpoint_is_named(path: str, says: str, tiny_config: Compose) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=says):
        evaluate.run(tiny_config("task=evaluate", f"ckpt_path={path}"))


def test_a_fit_may_go_without(tiny_config: Compose) -> None:
    cfg = tiny_config("evaluate.at_end=false", "data.split.test_pct=0.2", "recipe.freeze_epochs=0")
    fit.run(cfg)
    assert not (Path(cfg.run_dir) / "valid").exists()
    assert "test/error_rate" in metrics_of(Path(cfg.run_dir))


def test_the_projector_gets_every_image_with_its_classes(fitted: Path, tiny_config: Compose) -> None:
    cfg = tiny_config("task=evaluate", f"ckpt_path={fitted}", EXTRAS[0], "evaluate.embedding=true")
    evaluate.run(cfg)
    (metadata,) = Path(cfg.run_dir).rglob("metadata.tsv")
    lines = metadata.read_text().splitlines()
    assert lines[0] == "file\tactual\tpredicted"
    assert len(lines) == 1 + metrics_of(fitted)["n"]["valid"]
