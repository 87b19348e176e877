"""One call a picture, a text, a table of hyperparameters, whichever loggers a run has."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from matplotlib.figure import Figure
from omegaconf import DictConfig
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pets.callbacks.boards import Board, TensorBoard, board_of, boards, log_figure
from pets.schedule.lr_range import LRCurve
from pets.tasks import fit

FIRST = ("view/first_batch", "view/schedule", "view/lr_finder")
"""Pictures of every run with an LR finder, beside those of its evaluation."""


@pytest.fixture
def figure() -> Figure:
    drawn = Figure(figsize=(1, 1))
    drawn.add_subplot().plot([0, 1])
    return drawn


class Numbers(Logger):
    """A logger of somebody else's, which knows numbers and hyperparameters only."""

    name = version = None

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None: ...

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self.params |= params


def test_a_logger_without_pictures_passes_over_them(figure: Figure) -> None:
    logger = Numbers()
    board = board_of(logger)
    log_figure([logger], "view/x", figure)
    board.text("run/1_card", "text")
    board.charts({})
    board.hyperparameters({"seed": "0"}, ["seed"], ["valid/loss"])
    assert type(board) is Board
    assert logger.params == {"seed": "0"}


def test_every_logger_gets_the_figure_once(figure: Figure, tmp_path: Path) -> None:
    loggers = [TensorBoard(tmp_path, name="", version=""), CSVLogger(tmp_path, name="", version="")]
    assert len(boards(loggers)) == 2
    log_figure(loggers, "view/x", figure, step=3)
    loggers[0].finalize("success")
    events = read(tmp_path)
    assert [event.step for event in events.Images("view/x")] == [3]


def read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def test_tensorboard_has_no_chart_of_the_epoch(tmp_path: Path) -> None:
    logger = TensorBoard(tmp_path, name="", version="")
    logger.log_metrics({"train/loss": 1.0, "epoch": 2.0}, 5)
    logger.finalize("success")
    assert read(tmp_path).Tags()["scalars"] == ["train/loss"]
    assert isinstance(logger, TensorBoardLogger)


def test_tensorboard_has_curves_of_precision_and_recall_and_features(tmp_path: Path) -> None:
    logger = TensorBoard(tmp_path, name="", version="")
    (board,) = boards([logger])
    board.pr_curve("valid/precision_recall/pug", np.array([True, False]), np.array([0.9, 0.2], np.float32), 3)
    rows = [["file", "actual"], ["a.jpg", "pug"], ["b.jpg", "Birman"]]
    board.embedding("valid_features", torch.rand(2, 4), rows, torch.rand(2, 3, 8, 8), 3)
    logger.finalize("success")
    assert "valid/precision_recall/pug" in read(tmp_path).Tags()["tensors"]
    (metadata,) = tmp_path.rglob("metadata.tsv")
    assert metadata.read_text().splitlines() == ["file\tactual", "a.jpg\tpug", "b.jpg\tBirman"]


def run(tiny_config: Callable[..., DictConfig], folder: Path, *overrides: str) -> DictConfig:
    """Fit for an epoch after an LR finder whose result is taken."""
    cfg = tiny_config(
        f"run_dir={folder}", "recipe.freeze_epochs=0", "lr_finder=apply", "lr_finder.num_steps=30", *overrides
    )
    fit.run(cfg)
    return cfg


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> float:
    """Let the LR finder find a rate; return the base learning rate that follows from it."""
    monkeypatch.setattr("pets.callbacks.lr_finder.LRCurve.doubt_about", lambda *_: None)
    curve = LRCurve(np.geomspace(1e-7, 1, 30).tolist(), [1.0] * 30, 30, 8)
    monkeypatch.setattr("pets.callbacks.lr_finder.lr_range_test", lambda *_: curve)
    monkeypatch.setattr("pets.callbacks.lr_finder._base_lr", lambda *_: 0.0123)
    return 0.0123


@pytest.mark.filterwarnings("ignore:Experiment logs directory")  # the run folder, whose tables are kept
def test_csv_has_scalars_hyperparameters_and_the_pictures_beside_it(
    tiny_config: Callable[..., DictConfig], tmp_path: Path, found: float
) -> None:
    run(tiny_config, tmp_path, "logger=csv")
    params = yaml.safe_load((tmp_path / "hparams.yaml").read_text())
    assert params["recipe.base_lr"] == found
    header = (tmp_path / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"valid/error_rate", "valid/ece", "lr/head", "momentum"} <= set(header)
    pictures = {"show_batch.png", "lr_finder.png", "valid/confusion.png"}
    assert pictures <= {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")}


@pytest.mark.filterwarnings("ignore")  # of packages that are not ours
def test_mlflow_gets_what_tensorboard_gets(
    tiny_config: Callable[..., DictConfig], tmp_path: Path, found: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow", reason='pip install "pets[mlflow]"')
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.chdir(tmp_path)
    run(tiny_config, tmp_path / "run", "logger=mlflow")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'run' / 'mlflow.db'}")
    (experiment,) = [one for one in client.search_experiments() if one.name == "pets"]
    (logged,) = client.search_runs([experiment.experiment_id])
    assert {"valid/error_rate", "valid/ece", "lr/head", "train/loss_epoch"} <= set(logged.data.metrics)
    assert float(logged.data.params["recipe.base_lr"]) == found
    kept = {path.relative_to(tmp_path / "run" / "mlflow").as_posix() for path in tmp_path.rglob("mlflow/*/**/*.*")}
    kept = {path.partition("/artifacts/")[2] for path in kept}
    assert {f"{name}.png" for name in (*FIRST, "view/valid/confusion", "view/valid/recall")} <= kept
    assert "run/1_card.md" in kept
    assert [path.name for path in tmp_path.iterdir()] == ["run"], "nothing is written elsewhere"


@pytest.mark.filterwarnings("ignore")  # of packages that are not ours
def test_wandb_offline_gets_what_tensorboard_gets(
    tiny_config: Callable[..., DictConfig], tmp_path: Path, found: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb", reason='pip install "pets[wandb]"')
    for name, value in {"MODE": "offline", "SILENT": "true", "DISABLE_GIT": "true", "CONSOLE": "off"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    for name in ("CACHE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    run(tiny_config, tmp_path / "run", "logger=wandb")
    config, summary = dict(wandb.run.config), set(wandb.run.summary.keys())
    wandb.finish()
    assert config["recipe.base_lr"] == found
    assert {"valid/error_rate", "valid/ece", "lr/head", *FIRST, "view/valid/confusion"} <= summary
    assert "run/1_card" in summary
    (offline,) = (tmp_path / "run" / "wandb").glob("offline-run-*")
    assert list(offline.glob("run-*.wandb"))
    assert {path.name for path in tmp_path.iterdir()} <= {"run", "home"}, "nothing is written elsewhere"


def test_no_callback_asks_which_logger_it_has() -> None:
    folder = Path(__file__).parents[2] / "pets"
    asking = [path.name for path in folder.rglob("*.py") if "isinstance(logger" in path.read_text(encoding="utf-8")]
    assert asking == []
