"""A run that was stopped and resumed ends bit for bit like the run that never was: weights, tables, curves."""

import csv
import errno
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf import DictConfig
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pets.model.classifier import Classifier
from pets.tasks import fit

Compose = Callable[..., DictConfig]

SMALL = (
    "model=timm", "model.arch=test_resnet", "model.weights=null", "model.head.hidden=8", "model.head.dropout=0.5",
    "data.batch_size=4", "recipe.freeze_epochs=2", "recipe.epochs=2", "trainer.log_every_n_steps=1",
    "evaluate.at_end=false",
)  # fmt: skip
"""Two frozen and two unfrozen epochs of 5 batches each, with dropout, in about a second."""

pytestmark = [
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended"),
]


class Killed(BaseException):
    """Ends a run as abruptly as an exception can."""


@pytest.fixture(scope="session")
def straight(tiny_config: Compose) -> Path:
    """The folder of a run that was never stopped."""
    cfg = tiny_config(*SMALL)
    fit.run(cfg)
    return Path(cfg.run_dir)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int, Callable[[], Any]], None]:
    """Does something once, in the training step of an epoch and a batch."""

    def plan(epoch: int, batch: int, act: Callable[[], Any]) -> None:
        original = Classifier.training_step

        def step(self: Classifier, data: Any, batch_idx: int) -> Any:
            if (self.current_epoch, batch_idx) == (epoch, batch):
                monkeypatch.setattr(Classifier, "training_step", original)
                act()
            return original(self, data, batch_idx)

        monkeypatch.setattr(Classifier, "training_step", step)

    return plan


def kill() -> None:
    raise Killed


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def resume(cfg: DictConfig, **changes: Any) -> None:
    cfg.ckpt_path = f"{cfg.run_dir}/checkpoints/last.ckpt"
    for key, value in changes.items():
        cfg.data[key] = value
    fit.run(cfg)


def checkpoint(folder: str | Path, name: str = "last") -> dict[str, Any]:
    return torch.load(Path(folder) / "checkpoints" / f"{name}.ckpt", weights_only=True)


def rows(folder: str | Path, *without: str) -> list[dict[str, str]]:
    with (Path(folder) / "history.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k not in ("seconds", *without)} for row in csv.DictReader(file)]


def points(folder: str | Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    tags = [tag for tag in events.Tags()["scalars"] if not tag.startswith("speed")]
    return {tag: [(point.step, point.value) for point in events.Scalars(tag)] for tag in tags}


def same(ours: Any, theirs: Any) -> bool:
    """Compare nested containers bit for bit."""
    if isinstance(ours, torch.Tensor):
        return torch.equal(ours, theirs)
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list | tuple):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return bool(ours == theirs)


def assert_same_end(ours: str | Path, theirs: str | Path) -> None:
    for name in ("best", "last"):
        mine, other = checkpoint(ours, name), checkpoint(theirs, name)
        for part in ("state_dict", "optimizer_states", "smoothed_loss", "epoch"):
            assert same(mine[part], other[part]), f"{part} of {name}.ckpt"


@pytest.mark.parametrize(("epoch", "workers"), [(1, 1), (2, 2), (3, 0)])
def test_stopped_at_an_epoch_boundary_the_run_ends_as_if_it_had_not_been(
    tiny_config: Compose, straight: Path, at: Any, epoch: int, workers: int
) -> None:
    cfg = tiny_config(*SMALL, "data.num_workers=1" if epoch == 2 else "data.num_workers=0")
    at(epoch, 0, kill)
    with pytest.raises(Killed):
        fit.run(cfg)
    assert checkpoint(cfg.run_dir)["start"] == {"epoch": epoch, "images": 0}
    time.sleep(1.1)  # events are read in the order of their files' names, which tell the second
    resume(cfg, num_workers=workers)
    assert_same_end(cfg.run_dir, straight)
    assert rows(cfg.run_dir) == rows(straight)
    assert points(cfg.run_dir) == points(straight)
    ours, theirs = (json.loads((Path(folder) / "metrics.json").read_text()) for folder in (cfg.run_dir, straight))
    assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}


@pytest.mark.parametrize(("epoch", "batch"), [(0, 2), (3, 4)])
def test_killed_in_the_middle_of_an_epoch_the_run_repeats_that_epoch(
    tiny_config: Compose, straight: Path, at: Any, epoch: int, batch: int
) -> None:
    cfg = tiny_config(*SMALL)
    at(epoch, batch, kill)
    with pytest.raises(Killed):
        fit.run(cfg)
    if epoch == 0:
        assert not (Path(cfg.run_dir) / "checkpoints").exists()
        fit.run(cfg)
    else:
        resume(cfg)
    assert_same_end(cfg.run_dir, straight)
    assert rows(cfg.run_dir) == rows(straight)


@pytest.mark.parametrize(("epoch", "batch", "workers"), [(0, 2, 1), (2, 0, 2), (3, 3, 0)])
def test_sigterm_saves_the_step_and_the_next_batch_is_the_first_of_the_resumed_run(
    tiny_config: Compose, straight: Path, at: Any, epoch: int, batch: int, workers: int
) -> None:
    cfg = tiny_config(*SMALL)
    at(epoch, batch, terminate)
    with pytest.raises(SIGTERMException):
        fit.run(cfg)
    saved = checkpoint(cfg.run_dir)
    assert saved["start"] == {"epoch": epoch, "images": 4 * (batch + 1)}
    assert saved["global_step"] == 5 * epoch + batch + 1
    resume(cfg, num_workers=workers)
    assert_same_end(cfg.run_dir, straight)
    # The mean over the epoch's batches is of those since the resume; the smoothed loss is not.
    assert rows(cfg.run_dir, "train_loss_epoch") == rows(straight, "train_loss_epoch")


@pytest.mark.parametrize(("batch", "images"), [(0, None), (1, 8), (4, 0)])
def test_an_accumulated_step_is_never_saved_in_halves(
    tiny_config: Compose, at: Any, batch: int, images: int | None
) -> None:
    settings = (*SMALL, "trainer.accumulate_grad_batches=2", "model.frozen_bn=eval")
    whole, cfg = tiny_config(*settings), tiny_config(*settings)
    fit.run(whole)
    at(1, batch, terminate)
    with pytest.raises(SIGTERMException):
        fit.run(cfg)
    epoch = 2 if images == 0 else 1
    assert checkpoint(cfg.run_dir)["start"] == {"epoch": epoch, "images": images or 0}
    resume(cfg)
    assert_same_end(cfg.run_dir, whole.run_dir)


def test_a_disk_that_fills_up_stops_the_run_which_goes_on_when_there_is_room(
    tiny_config: Compose, straight: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg, sync, calls = tiny_config(*SMALL), os.fsync, []

    def fill(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > 6:  # a file's turn: a folder's comes after it
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fill)
        with pytest.raises(OSError, match=r"No space left on device: .* cannot be written, the one before it is kept"):
            fit.run(cfg)
    assert checkpoint(cfg.run_dir)["start"]["images"] == 0
    resume(cfg)
    assert_same_end(cfg.run_dir, straight)


def test_stopped_after_its_last_epoch_a_run_still_gets_its_metrics(
    tiny_config: Compose, straight: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = tiny_config(*SMALL)
    with monkeypatch.context() as patch:
        patch.setattr("pets.records.finish", lambda *args, **kwargs: kill())
        with pytest.raises(Killed):
            fit.run(cfg)
    resume(cfg)
    assert_same_end(cfg.run_dir, straight)
    metrics = json.loads((Path(cfg.run_dir) / "metrics.json").read_text())
    assert metrics["valid/error_rate"] == json.loads((straight / "metrics.json").read_text())["valid/error_rate"]


def test_last_is_of_the_last_epoch_although_an_earlier_one_was_best(straight: Path) -> None:
    assert checkpoint(straight)["epoch"] == 3
    errors = [float(row["error_rate"]) for row in rows(straight)]
    assert checkpoint(straight, "best")["epoch"] == errors.index(min(errors)) < 3


def test_the_best_so_far_is_known_in_the_same_folder_and_forgotten_with_a_warning_in_another(
    tiny_config: Compose, straight: Path
) -> None:
    same, other = checkpoint(straight)["callbacks"], tiny_config(*SMALL, "recipe.epochs=3")
    best = next(state for key, state in same.items() if "valid/error_rate" in key)
    assert best["best_model_score"] == pytest.approx(float(min(row["error_rate"] for row in rows(straight))))
    other.ckpt_path = str(straight / "checkpoints" / "last.ckpt")
    with pytest.warns(UserWarning, match="The dirpath has changed"):
        fit.run(other)
    assert len(rows(other.run_dir)) == 5
