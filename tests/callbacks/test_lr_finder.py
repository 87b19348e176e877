import json
import random
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.optim.optimizer import register_optimizer_step_pre_hook

from pets.callbacks.lr_finder import LRFinder
from pets.callbacks.one_cycle import OneCycle
from pets.model.classifier import Classifier
from pets.training.lr_range import LRCurve
from pets.training.recipe import Phase, Recipe, fine_tune, one_cycle
from pets.training.schedule import one_cycle_lr

RECIPE = fine_tune(epochs=1, freeze_epochs=1, base_lr=0.01)
NOISE = Recipe((Phase(1, False, 0.01),), 0.01)


class Order(Callback):
    """Records the batches that the run sees, and the random state before the first."""

    def __init__(self) -> None:
        self.indices: list[list[int]] = []
        self.states: list[Any] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.states = [torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()]

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self.indices.append(batch.indices.tolist())


@pytest.fixture
def fit(make_net: Any, make_loader: Any, make_trainer: Any) -> Callable[..., Any]:
    """Fits with a finder; returns the trainer, whose callbacks are finder, one-cycle and order."""

    def run(finder: LRFinder | None, recipe: Recipe = RECIPE, loader: Any = None, **settings: Any) -> Trainer:
        net = settings.pop("net", None) or make_net()
        random.seed(0)
        np.random.seed(0)
        torch.manual_seed(3)
        callbacks = [*([finder] if finder else []), OneCycle(recipe), Order()]
        trainer: Trainer = make_trainer(**{"max_epochs": recipe.epochs, "callbacks": callbacks, **settings})
        trainer.fit(net, loader or make_loader(shuffle=True), make_loader(1))
        return trainer

    return run


def member(trainer: Trainer, kind: type) -> Any:
    return next(callback for callback in trainer.callbacks if isinstance(callback, kind))


def same_run(ours: Trainer, theirs: Trainer) -> bool:
    weights = zip(ours.model.state_dict().values(), theirs.model.state_dict().values(), strict=True)
    moments = zip(ours.optimizers[0].state.values(), theirs.optimizers[0].state.values(), strict=True)
    orders = [member(ours, Order), member(theirs, Order)]
    return (
        all(torch.equal(a, b) for a, b in weights)
        and all(torch.equal(a[key], b[key]) for a, b in moments for key in a)
        and orders[0].indices == orders[1].indices
        and orders[0].states == orders[1].states
    )


@pytest.mark.parametrize("workers", [0, 1])
def test_the_run_after_a_report_is_bit_for_bit_the_run_without(
    fit: Any, make_loader: Any, watch_steps: Any, workers: int
) -> None:
    watch_steps(lambda _, loss: loss * (1 + random.random() + np.random.rand()))

    def loader() -> Any:
        own = torch.Generator().manual_seed(5)
        return make_loader(shuffle=True, num_workers=workers, persistent_workers=workers > 0, generator=own)

    assert same_run(fit(LRFinder(), loader=loader()), fit(None, loader=loader()))
    assert same_run(fit(LRFinder()), fit(None))


def test_two_tests_in_a_row_give_one_curve(fit: Any) -> None:
    first, second = LRFinder(), LRFinder()
    fit(first)
    fit(second)
    assert first.curve == second.curve


def test_a_loader_shorter_than_the_test_is_gone_through_again(fit: Any, make_loader: Any) -> None:
    finder = LRFinder(end_lr=1e-3)
    fit(finder, loader=make_loader(3))
    assert len(finder.curve.losses) == finder.curve.num_steps == 100
    assert np.isfinite(finder.curve.losses).all()


def test_every_pass_of_the_test_has_its_own_epoch(fit: Any, make_loader: Any) -> None:
    class Epochs(torch.utils.data.Sampler[int]):
        def __init__(self) -> None:
            self.seen: list[int] = []

        def __len__(self) -> int:
            return 24

        def __iter__(self) -> Iterator[int]:
            return iter(range(24))

        def set_epoch(self, epoch: int) -> None:
            seen.append(epoch)

    seen: list[int] = []
    fit(LRFinder(num_steps=30, end_lr=1e-3), loader=make_loader(3, sampler=Epochs()))
    assert seen == [*range(10), 0, 1]


def test_the_test_stops_when_the_loss_diverges(fit: Any) -> None:
    finder = LRFinder(start_lr=1.0, end_lr=1e9)
    fit(finder, NOISE)
    curve = finder.curve
    assert len(curve.losses) < 100
    assert curve.smoothed[-1] > 4 * min(curve.smoothed)
    assert max(curve.smoothed[:-1]) <= 4 * min(curve.smoothed[:-1])


def test_a_loss_that_is_not_a_number_ends_the_curve(fit: Any, watch_steps: Any) -> None:
    calls = watch_steps(lambda calls, loss: loss * (float("nan") if len(calls) == 4 else 1.0))
    finder = LRFinder()
    fit(finder)
    assert len(calls) == 4 + 8
    assert len(finder.curve.losses) == 3
    assert finder.curve.doubt == "only 3 of 100 steps before the loss diverged"


@pytest.fixture
def watch_steps(make_net: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Passes the loss of every training step, of copies too, through a function of (calls so far, loss)."""

    def start(change: Callable[[list[int], torch.Tensor], torch.Tensor]) -> list[int]:
        kind, calls = type(make_net()), []
        step = kind.training_step

        def training_step(net: Any, batch: Any, batch_idx: int) -> torch.Tensor:
            calls.append(batch_idx)
            return change(calls, step(net, batch, batch_idx))

        monkeypatch.setattr(kind, "training_step", training_step)
        return calls

    return start


class Spy(LRFinder):
    """Keeps the learning rates and trainable parameters that the copy's optimizer steps see."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.rates: list[dict[str, float]] = []
        self.learning: set[int] = set()

        def record(optimizer: Any, *_: Any) -> None:
            self.rates.append({group["name"]: group["lr"] for group in optimizer.param_groups})
            self.learning.add(sum(p.grad is not None for group in optimizer.param_groups for p in group["params"]))

        hook = register_optimizer_step_pre_hook(record)
        super().on_fit_start(trainer, pl_module)
        hook.remove()


@pytest.mark.parametrize(("frozen", "learning"), [(True, 2), (False, 10)])
def test_the_test_keeps_the_ratio_between_groups_and_the_frozen_state_of_the_first_phase(
    fit: Any, frozen: bool, learning: int
) -> None:
    spy = Spy(num_steps=30)
    fit(spy, one_cycle([Phase(1, frozen, (1e-4, 1e-2))]))
    assert spy.learning == {learning}
    for rates, lr in zip(spy.rates, spy.curve.lrs, strict=True):
        assert rates["head/decay"] == rates["head/no_decay"] == lr
        assert rates["early/decay"] == pytest.approx(lr / 100)
        assert rates["late/decay"] == pytest.approx(lr / 10)


def test_a_step_of_the_test_accumulates_as_many_batches_as_the_run(fit: Any) -> None:
    one, three = Spy(num_steps=30), Spy(num_steps=30)
    fit(one)
    fit(three, accumulate_grad_batches=3)
    assert one.curve.batch_size == 8
    assert three.curve.batch_size == 24
    assert len(three.rates) == 30


def test_precision_and_clipping_are_the_trainers(fit: Any) -> None:
    plain, low, clipped = LRFinder(num_steps=30), LRFinder(num_steps=30), LRFinder(num_steps=30)
    fit(plain)
    fit(low, precision="bf16-mixed")
    fit(clipped, gradient_clip_val=1e-9)
    assert low.curve.losses != plain.curve.losses
    assert low.curve.losses[0] == pytest.approx(plain.curve.losses[0], rel=0.05)
    assert clipped.curve.losses != plain.curve.losses


def applied(curve: LRCurve, fit: Any, monkeypatch: pytest.MonkeyPatch, recipe: Recipe, **settings: Any) -> Trainer:
    """A run with `apply` whose test found `curve`."""
    monkeypatch.setattr("pets.callbacks.lr_finder.lr_range_test", lambda *_: curve)
    return fit(LRFinder(mode="apply", **settings), recipe)


@pytest.fixture
def good_curve() -> LRCurve:
    lrs = [1e-7 * 10 ** (8 * i / 100) for i in range(100)]
    losses = [3.7 - 2.6 / (1 + np.exp(-2.5 * (np.log10(lr) + 3))) + 10 ** (2.5 * (np.log10(lr) - 0.2)) for lr in lrs]
    return LRCurve(lrs, [float(loss) for loss in losses], 100, 8)


@pytest.mark.parametrize("rule", ["valley", "minimum"])
@pytest.mark.parametrize("freeze_epochs", [0, 1])
def test_an_applied_suggestion_is_the_heads_peak_and_the_ratios_stay(
    fit: Any, monkeypatch: pytest.MonkeyPatch, good_curve: LRCurve, rule: str, freeze_epochs: int
) -> None:
    recipe = fine_tune(epochs=1, freeze_epochs=freeze_epochs)
    one = member(applied(good_curve, fit, monkeypatch, recipe, suggestion=rule), OneCycle)
    peaks, before = one.recipe.phases[0].group_lrs(), recipe.phases[0].group_lrs()
    assert peaks["head"] == pytest.approx(good_curve.suggestions[rule])
    assert peaks["early"] / peaks["head"] == pytest.approx(before["early"] / before["head"])
    assert one.state_dict() == {"base_lr": one.recipe.base_lr}


def test_the_first_step_after_apply_follows_the_suggestion(
    fit: Any, monkeypatch: pytest.MonkeyPatch, good_curve: LRCurve
) -> None:
    recipe = one_cycle([Phase(1, False, (1e-4, 1e-2))])
    trainer = applied(good_curve, fit, monkeypatch, recipe)
    phase = member(trainer, OneCycle).recipe.phases[0]
    last = {group["name"]: group["lr"] for group in trainer.optimizers[0].param_groups}
    assert last["head/decay"] == one_cycle_lr(3 / 4, phase.group_lrs()["head"], phase)
    assert phase.group_lrs()["head"] == good_curve.suggestions["valley"]


def test_an_unreliable_suggestion_is_not_applied(fit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    flat = LRCurve([1e-7 * 1.2**step for step in range(40)], [1.0] * 40, 100, 8)
    with pytest.warns(UserWarning, match=r"apply has no effect, base_lr stays 1.00e-02: the loss hardly falls"):
        trainer = applied(flat, fit, monkeypatch, RECIPE)
    assert member(trainer, OneCycle).recipe is RECIPE


def test_a_resumed_run_skips_the_test_and_keeps_what_was_applied(
    fit: Any, monkeypatch: pytest.MonkeyPatch, good_curve: LRCurve, make_trainer: Any, make_net: Any, make_loader: Any,
    tmp_path: Path,
) -> None:  # fmt: skip
    trainer = applied(good_curve, fit, monkeypatch, RECIPE)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    finder, one = LRFinder(mode="apply"), OneCycle(fine_tune(epochs=2, freeze_epochs=1, base_lr=0.01))
    make_trainer(max_epochs=3, callbacks=[finder, one]).fit(
        make_net(), make_loader(), make_loader(1), ckpt_path=tmp_path / "last.ckpt", weights_only=True
    )
    assert finder.curve is None
    assert one.recipe.base_lr == good_curve.suggestions["valley"]


def test_the_run_folder_holds_curve_and_picture_and_nothing_else(
    fit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    finder = LRFinder(dirpath=tmp_path / "run" / "deep")
    fit(finder)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == ["lr_finder.json", "lr_finder.png"]
    assert LRCurve.from_json((tmp_path / "run/deep/lr_finder.json").read_text()) == finder.curve
    assert (tmp_path / "run/deep/lr_finder.png").read_bytes().startswith(b"\x89PNG")


def test_the_figure_is_in_tensorboard(fit: Any, tmp_path: Path) -> None:
    fit(LRFinder(), logger=TensorBoardLogger(tmp_path, name="", version="", default_hp_metric=False))
    events = EventAccumulator(str(tmp_path)).Reload()
    assert "lr_finder/curve" in events.Tags()["images"]


@pytest.mark.parametrize("step", [0, 5, 20])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_test_leaves_nothing(
    fit: Any, make_net: Any, watch_steps: Any, tmp_path: Path, step: int, error: type[BaseException]
) -> None:
    def stop(calls: list[int], loss: torch.Tensor) -> torch.Tensor:
        if len(calls) > step:
            raise error
        return loss

    net = make_net()
    original = {name: value.clone() for name, value in net.state_dict().items()}
    watch_steps(stop)
    with pytest.raises((SystemExit, KeyboardInterrupt, RuntimeError)):
        fit(LRFinder(), net=net)
    expected = torch.Generator().manual_seed(3).get_state()
    assert torch.equal(torch.get_rng_state(), expected)
    assert all(torch.equal(value, original[name]) for name, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not list(tmp_path.rglob("*"))


def test_without_epochs_only_the_test_runs(make_net: Any, make_loader: Any, make_trainer: Any, tmp_path: Path) -> None:
    finder, order = LRFinder(recipe=RECIPE), Order()
    make_trainer(max_epochs=0, callbacks=[finder, order]).fit(make_net(), make_loader(), make_loader(1))
    assert finder.curve is not None
    assert not order.indices
    assert (tmp_path / "lr_finder.json").exists()


def test_without_a_recipe_there_is_an_error(make_net: Any, make_loader: Any, make_trainer: Any) -> None:
    with pytest.raises(ValueError, match="needs the OneCycle callback"):
        make_trainer(max_epochs=1, callbacks=[LRFinder()]).fit(make_net(), make_loader(), make_loader(1))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mode", "off"), ("suggestion", "steepest"), ("start_lr", 0), ("start_lr", 11), ("num_steps", 10),
        ("num_steps", 50.0),
    ],
)  # fmt: skip
def test_a_bad_setting_is_named(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^lr_finder\.{key}={value!r} is not allowed"):
        LRFinder(**{key: value})


@pytest.mark.parametrize("frozen_bn", ["train", "eval"])
def test_a_classifier_is_tested_and_trained_as_the_recipe_says(fit: Any, frozen_bn: Any) -> None:
    def net() -> Classifier:
        torch.manual_seed(0)
        return Classifier("resnet18", classes=["cat", "dog", "frog"], weights=None, frozen_bn=frozen_bn)

    finder = LRFinder(num_steps=30)
    reported = fit(finder, net=net())
    assert 16 < len(finder.curve.losses) <= 30
    assert same_run(reported, fit(None, net=net()))
    assert reported.model.frozen_groups == ()


@pytest.mark.ddp
def test_two_processes_see_one_curve(tmp_path: Path) -> None:
    subprocess.run([sys.executable, __file__, str(tmp_path)], check=True, timeout=240)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first["curve"] == second["curve"]
    assert first["batch_size"] == 16
    assert first["own_loss"] != second["own_loss"]


def in_two_processes(folder: Path) -> None:
    """Fit in two forked processes, each with data of its own; each writes the curve it saw."""
    tiny = runpy.run_path(str(Path(__file__).with_name("conftest.py")))

    class Share(torch.utils.data.Sampler[int]):
        def __len__(self) -> int:
            return 32

        def __iter__(self) -> Iterator[int]:
            return iter(range(torch.distributed.get_rank(), 64, 2))

    losses: list[float] = []

    class Net(tiny["TinyNet"]):  # type: ignore[misc,name-defined]
        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            loss = super().training_step(batch, batch_idx)
            losses.append(float(loss))
            return loss

    finder = LRFinder(num_steps=30, end_lr=1e4, recipe=RECIPE)
    trainer = Trainer(
        accelerator="cpu", devices=2, strategy="ddp_fork", max_epochs=0, callbacks=[finder], logger=False,
        enable_checkpointing=False, use_distributed_sampler=False, default_root_dir=folder, enable_progress_bar=False,
    )  # fmt: skip

    class Write(Callback):
        def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            curve = finder.curve
            assert curve is not None
            result = {"curve": curve.losses, "batch_size": curve.batch_size, "own_loss": losses[0]}
            (folder / f"{trainer.global_rank}.json").write_text(json.dumps(result))

    trainer.callbacks.append(Write())  # type: ignore[attr-defined]
    torch.manual_seed(0)
    trainer.fit(Net(), torch.utils.data.DataLoader(tiny["Squares"](64), 8, sampler=Share()))


if __name__ == "__main__":
    in_two_processes(Path(sys.argv[1]))
