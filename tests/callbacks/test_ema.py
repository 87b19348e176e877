"""The moving average: its mathematics, that training does not notice it, and that whatever follows gets it."""

import csv
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf import DictConfig
from torch import Tensor

from pets.callbacks.ema import EMA, TRAINED, decay_at
from pets.deploy.predictor import Predictor
from pets.errors import UserError
from pets.model.classifier import Classifier
from pets.schedule.recipe import fine_tune
from pets.tasks import evaluate, fit

Compose = Callable[..., DictConfig]

SMALL = (
    "model=timm", "model.arch=test_resnet", "model.weights=null", "model.head.hidden=8", "model.head.dropout=0.5",
    "data.batch_size=4", "recipe.freeze_epochs=1", "recipe.epochs=1", "model.frozen_bn=train",
)  # fmt: skip
"""A frozen and an unfrozen epoch of 5 batches each, whose norms collect statistics."""

pytestmark = [
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended"),
]


class Watch(Callback):
    """Notes the weights after every batch, and those that a validation sees; may end a run."""

    def __init__(self, end_in_validation: bool = False) -> None:
        self.end_in_validation = end_in_validation
        self.after_batches: list[dict[str, Tensor]] = []
        self.in_validation: dict[str, Tensor] = {}
        self.after_exception: dict[str, Tensor] = {}

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        self.after_batches.append(copied(pl_module))

    def on_validation_batch_start(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        self.in_validation = copied(pl_module)
        if self.end_in_validation:
            raise RuntimeError("the end")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.after_exception = copied(pl_module)


def copied(module: LightningModule) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def checkpoint(folder: str | Path, name: str = "last") -> dict[str, Any]:
    return dict(torch.load(Path(folder) / "checkpoints" / f"{name}.ckpt", weights_only=True))


def rows(folder: str | Path) -> list[dict[str, str]]:
    with (Path(folder) / "history.csv").open(newline="") as file:
        return [{name: text for name, text in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


# --- the mathematics


@pytest.mark.parametrize(
    ("step", "largest", "decay"),
    [(1, 0.999, 2 / 11), (90, 0.999, 0.91), (90, 0.9, 0.9), (10**6, 0.999, 0.999), (5, 0, 0)],
)
def test_golden_values(step: int, largest: float, decay: float) -> None:
    assert decay_at(step, largest) == pytest.approx(decay, abs=1e-12)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_average_is_that_of_a_loop_over_the_steps(fit_with: Any, make_net: Any, accumulate: int) -> None:
    watch = Watch()
    trainer = fit_with(EMA(0.5), callbacks=[watch], accumulate_grad_batches=accumulate)
    average = copied(make_net())
    for number, now in enumerate(watch.after_batches[accumulate - 1 :: accumulate], start=1):
        share = decay_at(number, 0.5)
        average = {name: share * average[name] + (1 - share) * now[name] for name in now}
    floats = {name: value for name, value in copied(trainer.lightning_module).items() if value.is_floating_point()}
    for name, value in floats.items():
        torch.testing.assert_close(value, average[name], msg=name)


def test_what_does_not_change_stays_to_the_bit(fit_with: Any, make_net: Any) -> None:
    before, ema = copied(make_net()), EMA()
    ours = copied(fit_with(ema, recipe=fine_tune(epochs=0, freeze_epochs=2, base_lr=0.01)).lightning_module)
    frozen = [name for name in before if name.startswith(("early.0", "late.0"))]
    assert len(frozen) == 4
    assert_same({name: ours[name] for name in frozen}, {name: before[name] for name in frozen})
    assert not torch.equal(ours["head.3.weight"], before["head.3.weight"])


# --- where the average is, and where it is not


def test_training_does_not_notice_it(fit_with: Any) -> None:
    alone, watched = Watch(), Watch()
    fit_with(None, callbacks=[alone])
    fit_with(EMA(), callbacks=[watched])
    for ours, theirs in zip(watched.after_batches, alone.after_batches, strict=True):
        assert_same(ours, theirs)


def test_a_validation_sees_the_average_and_the_end_leaves_it(fit_with: Any) -> None:
    watch = Watch()
    trainer = fit_with(EMA(), callbacks=[watch])
    assert_same(watch.in_validation, copied(trainer.lightning_module))
    assert not torch.equal(watch.in_validation["head.3.weight"], watch.after_batches[-1]["head.3.weight"])


def test_a_validation_that_fails_leaves_the_trained_weights(fit_with: Any) -> None:
    watch = Watch(end_in_validation=True)
    with pytest.raises(RuntimeError, match="the end"):
        fit_with(EMA(), callbacks=[watch])
    assert_same(watch.after_exception, watch.after_batches[-1])


def test_checkpoints_without_the_average_are_refused(fit_with: Any, tmp_path: Path) -> None:
    bare = ModelCheckpoint(tmp_path, save_weights_only=True)
    with pytest.raises(UserError, match=r"save_weights_only=true is not allowed with ema"):
        fit_with(EMA(), callbacks=[bare], enable_checkpointing=True)


# --- a run


@pytest.fixture(scope="module")
def averaged(tiny_config: Compose) -> Path:
    """The folder of a run with an average that was never stopped."""
    cfg = tiny_config(*SMALL, "ema=default")
    fit.run(cfg)
    return Path(cfg.run_dir)


def test_the_trained_weights_are_those_of_a_run_without(averaged: Path, tiny_config: Compose) -> None:
    cfg = tiny_config(*SMALL, "evaluate.at_end=false")
    fit.run(cfg)
    plain, ours = checkpoint(cfg.run_dir), checkpoint(averaged)
    assert TRAINED not in plain
    assert_same(ours[TRAINED], plain["state_dict"])
    assert not torch.equal(ours["state_dict"]["head.1.weight"], plain["state_dict"]["head.1.weight"])
    assert rows(averaged)[-1]["valid_loss"] != rows(cfg.run_dir)[-1]["valid_loss"]


def test_every_command_gets_the_average(averaged: Path, tiny_config: Compose) -> None:
    last, measured = averaged / "checkpoints" / "last.ckpt", json.loads((averaged / "metrics.json").read_text())
    cfg = tiny_config(*SMALL, "task=evaluate", f"ckpt_path={last}")
    evaluate.run(cfg)
    again = json.loads((Path(cfg.run_dir) / "metrics.json").read_text())
    assert again["valid/loss"] == measured["valid/loss"] == pytest.approx(float(rows(averaged)[-1]["valid_loss"]))
    network = Predictor.load(last).network
    state = checkpoint(averaged)["state_dict"]
    assert torch.equal(network.state_dict()["head.1.weight"], state["head.1.weight"])


@pytest.mark.parametrize(("epoch", "batch", "how"), [(1, 0, "killed"), (0, 2, "SIGTERM"), (1, 2, "SIGTERM")])
def test_a_resumed_run_ends_like_one_that_was_never_stopped(
    averaged: Path, tiny_config: Compose, monkeypatch: pytest.MonkeyPatch, epoch: int, batch: int, how: str
) -> None:
    cfg, original = tiny_config(*SMALL, "ema=default", "evaluate.at_end=false"), Classifier.training_step

    def step(self: Classifier, data: Any, batch_idx: int) -> Any:
        if (self.current_epoch, batch_idx) == (epoch, batch):
            monkeypatch.setattr(Classifier, "training_step", original)
            if how == "killed":
                raise KeyboardInterrupt
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, data, batch_idx)

    monkeypatch.setattr(Classifier, "training_step", step)
    with pytest.raises((SIGTERMException, SystemExit)):
        fit.run(cfg)
    cfg.ckpt_path = f"{cfg.run_dir}/checkpoints/last.ckpt"
    fit.run(cfg)
    for name in ("best", "last"):
        ours, theirs = checkpoint(cfg.run_dir, name), checkpoint(averaged, name)
        assert_same(ours["state_dict"], theirs["state_dict"])
        assert_same(ours[TRAINED], theirs[TRAINED])
    assert [row["valid_loss"] for row in rows(cfg.run_dir)] == [row["valid_loss"] for row in rows(averaged)]


def test_stopped_after_its_last_epoch_a_run_is_measured_with_the_average(
    averaged: Path, tiny_config: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = tiny_config(*SMALL, "ema=default")
    with monkeypatch.context() as patch:
        patch.setattr("pets.records.finish", lambda *args, **kwargs: pytest.fail("stopped"))
        with pytest.raises(pytest.fail.Exception):
            fit.run(cfg)
    cfg.ckpt_path = f"{cfg.run_dir}/checkpoints/last.ckpt"
    fit.run(cfg)
    ours, theirs = (json.loads((Path(folder) / "metrics.json").read_text()) for folder in (cfg.run_dir, averaged))
    assert {name: ours[name] for name in ours if "/" in name} == {name: theirs[name] for name in theirs if "/" in name}


def test_trained_weights_of_another_shape_are_refused(averaged: Path, tiny_config: Compose, tmp_path: Path) -> None:
    content = checkpoint(averaged)
    content[TRAINED]["mean"] = torch.zeros(4)
    path = tmp_path / "checkpoints" / "last.ckpt"
    path.parent.mkdir()
    torch.save(content, path)
    cfg = tiny_config(*SMALL, "ema=default", "recipe.epochs=2", "evaluate.at_end=false")
    cfg.ckpt_path = str(path)
    with pytest.raises(UserError, match=r"last\.ckpt: the trained state dict does not fit the model: .*mean \(4,\)"):
        fit.run(cfg)


def test_a_run_is_resumed_with_the_average_it_started_with(averaged: Path, tiny_config: Compose) -> None:
    cfg = tiny_config(*SMALL, "recipe.epochs=2", "evaluate.at_end=false")
    cfg.ckpt_path = f"{averaged}/checkpoints/last.ckpt"
    with pytest.raises(UserError, match=r"last\.ckpt: a run that started with ema=default is resumed with it$"):
        fit.run(cfg)
