"""Exporting a run from the command line: the card quotes what measured these weights, and nothing is overwritten."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from pets import Predictor
from pets.tasks import evaluate, export, fit, predict
from tests.deploy.conftest import save_checkpoint

Compose = Callable[..., DictConfig]


@pytest.fixture(scope="module")
def fitted(tiny_config: Compose) -> Path:
    """The folder of a fit, with a threshold as evaluate.precision leaves one."""
    cfg = tiny_config("loss=one_vs_rest", "evaluate.at_end=false")
    fit.run(cfg)
    file = Path(cfg.run_dir) / "metrics.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"valid/threshold": 0.4}))
    return Path(cfg.run_dir)


@pytest.fixture
def configured(tiny_config: Compose) -> Compose:
    return lambda *overrides: tiny_config("task=export", "export.onnx=false", *overrides)


def test_a_run_becomes_a_folder_that_predicts(
    fitted: Path, configured: Compose, tiny_config: Compose, tiny_pets: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cfg = configured(f"ckpt_path={fitted}", "export.licence=cc-by-4.0")
    with caplog.at_level(logging.INFO):
        export.run(cfg)
    folder = Path(cfg.run_dir) / "export"
    metrics = json.loads((fitted / "metrics.json").read_text())
    card = (folder / "README.md").read_text()
    n, wrong = metrics["n"]["valid"], round(metrics["valid/error_rate"] * metrics["n"]["valid"])
    assert f"| valid | {n} | {wrong} | {metrics['valid/error_rate']:.1%} | " in card
    assert "license: cc-by-4.0" in card
    assert Predictor.load(folder).threshold == 0.4
    assert f"exported to {folder}" in caplog.text
    predicted = tiny_config("task=predict", f"ckpt_path={folder}", f"source={tiny_pets}", "predict.format=jsonl")
    predict.run(predicted)
    first = json.loads((Path(predicted.run_dir) / "predictions.jsonl").read_text().splitlines()[0])
    assert first["accepted"] == (first["probability"] >= 0.4)


def test_metrics_of_other_weights_are_not_quoted(
    fitted: Path, configured: Compose, caplog: pytest.LogCaptureFixture
) -> None:
    best = fitted / "checkpoints" / "best.ckpt"
    cfg = configured(f"ckpt_path={best}")
    export.run(cfg)
    assert "measured last.ckpt, not best.ckpt" in caplog.text
    assert "Not measured" in (Path(cfg.run_dir) / "export" / "README.md").read_text()
    cfg = configured(f"ckpt_path={best}", f"export.metrics={fitted}/metrics.json")
    export.run(cfg)
    assert "| valid |" in (Path(cfg.run_dir) / "export" / "README.md").read_text()


def test_the_detector_of_an_evaluation_is_exported_with_the_weights_that_it_saw(
    fitted: Path, configured: Compose, tiny_config: Compose
) -> None:
    best = fitted / "checkpoints" / "best.ckpt"
    evaluated = tiny_config("task=evaluate", f"ckpt_path={best}", "evaluate.false_alarms=0.25", "loss=one_vs_rest")
    evaluate.run(evaluated)
    cfg = configured(f"ckpt_path={best}", f"export.metrics={evaluated.run_dir}/metrics.json")
    export.run(cfg)
    assert Predictor.load(Path(cfg.run_dir) / "export").metadata.false_alarms == 0.25
    assert Predictor.load(best).detector is None


def test_a_bare_checkpoint_needs_no_run(configured: Compose, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "mine.ckpt")
    cfg = configured(f"ckpt_path={tmp_path}/mine.ckpt", f"export.folder={tmp_path}/model")
    export.run(cfg)
    assert "Not measured" in (tmp_path / "model" / "README.md").read_text()
    with pytest.raises(FileExistsError, match="is never overwritten"):
        export.run(cfg)


@pytest.mark.parametrize(
    ("content", "says"), [("{", "is not JSON"), ("[]", "is not a metrics.json"), ('{"n": 1}', "is not a metrics.json")]
)
def test_metrics_that_are_none(content: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(ValueError, match=f"^export.metrics=.*{says}"):
        export.read_metrics(str(tmp_path / "metrics.json"), tmp_path / "last.ckpt")


def test_without_the_extra_onnx_is_left_out_or_asked_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(export, "missing_for_onnx", lambda: ["onnxscript"])
    with caplog.at_level(logging.INFO):
        assert export.decide_onnx("auto") is False
    assert 'without model.onnx: it needs onnxscript: pip install "pets[onnx]"' in caplog.text
    assert export.decide_onnx(False) is False
    with pytest.raises(ModuleNotFoundError, match=r"^export.onnx=true: it needs onnxscript: pip install "):
        export.decide_onnx(True)
    monkeypatch.setattr(export, "missing_for_onnx", list)
    assert export.decide_onnx("auto") is True
