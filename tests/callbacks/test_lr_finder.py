import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from pets.callbacks.lr_finder import LRFinder
from pets.model.classifier import Classifier
from pets.schedule.lr_range import LRCurve
from pets.schedule.recipe import Phase, one_cycle


class Order(Callback):
    """Records the batches that the run sees, and the random state before the first."""

    def __init__(self) -> None:
        self.indices: list[list[int]] = []
        self.states: list[Any] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.states = [torch.get_rng_state().tolist(), random.getstate(), repr(np.random.get_state())]

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self.indices.append(batch.indices.tolist())


def same_run(ours: Trainer, theirs: Trainer) -> bool:
    """Whether weights and optimizer state of two runs are equal to the bit."""
    assert ours.model is not None
    assert theirs.model is not None
    pairs = [(ours.model.state_dict(), theirs.model.state_dict())]
    pairs += zip(ours.optimizers[0].state.values(), theirs.optimizers[0].state.values(), strict=True)
    return all(torch.equal(a[key], b[key]) for a, b in pairs for key in a)


def curve_of(finder: LRFinder) -> LRCurve:
    assert finder.curve is not None
    return finder.curve


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("own_generator", [False, True])
def test_the_run_after_a_report_is_bit_for_bit_the_run_without(
    fit_with: Any, make_loader: Any, watch_steps: Any, workers: int, own_generator: bool
) -> None:
    def run(finder: LRFinder | None) -> tuple[Trainer, Order]:
        own = torch.Generator().manual_seed(5) if own_generator else None
        loader = make_loader(shuffle=True, num_workers=workers, persistent_workers=workers > 0, generator=own)
        order = Order()
        return fit_with(finder, loader=loader, callbacks=[order]), order

    watch_steps(lambda _, loss: loss * (1 + random.random() + np.random.rand()))
    (reported, order), (plain, expected) = run(LRFinder()), run(None)
    assert same_run(reported, plain)
    assert order.indices == expected.indices
    assert order.states == expected.states


def test_two_tests_in_a_row_give_one_curve(fit_with: Any) -> None:
    first, second = LRFinder(), LRFinder()
    fit_with(first)
    fit_with(second)
    assert first.curve == second.curve


def test_a_loader_shorter_than_the_test_is_gone_through_again(fit_with: Any, make_loader: Any) -> None:
    finder = LRFinder(end_lr=1e-3)
    fit_with(finder, loader=make_loader(3))
    assert len(curve_of(finder).losses) == curve_of(finder).num_steps == 100
    assert np.isfinite(curve_of(finder).losses).all()


def test_every_pass_of_the_test_has_its_own_epoch(fit_with: Any, make_loader: Any) -> None:
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
    fit_with(LRFinder(num_steps=30, end_lr=1e-3), loader=make_loader(3, sampler=Epochs()))
    assert seen == [*range(10), 0, 1]


def test_the_test_stops_when_the_loss_diverges(fit_with: Any) -> None:
    finder = LRFinder(start_lr=1.0, end_lr=1e9)
    fit_with(finder, one_cycle([Phase(1, False, 0.01)]))
    curve = curve_of(finder)
    assert len(curve.losses) < 100
    assert curve.smoothed[-1] > 4 * min(curve.smoothed)
    assert max(curve.smoothed[:-1]) <= 4 * min(curve.smoothed[:-1])


def test_a_loss_that_is_not_a_number_ends_the_curve(fit_with: Any, watch_steps: Any) -> None:
    calls = watch_steps(lambda calls, loss: loss * (float("nan") if len(calls) == 4 else 1.0))
    finder = LRFinder()
    fit_with(finder)
    assert len(calls) == 4 + 8
    assert len(curve_of(finder).losses) == 3
    assert curve_of(finder).doubt == "only 3 of 100 steps before the loss diverged"


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
    fit_with: Any, frozen: bool, learning: int
) -> None:
    spy = Spy(num_steps=30)
    fit_with(spy, one_cycle([Phase(1, frozen, (1e-4, 1e-2))]))
    assert spy.learning == {learning}
    for rates, lr in zip(spy.rates, curve_of(spy).lrs, strict=True):
        assert rates["head/decay"] == rates["head/no_decay"] == lr
        assert rates["early/decay"] == pytest.approx(lr / 100)
        assert rates["late/decay"] == pytest.approx(lr / 10)


def test_a_step_of_the_test_accumulates_as_many_batches_as_the_run(fit_with: Any) -> None:
    one, three = Spy(num_steps=30), Spy(num_steps=30)
    fit_with(one)
    fit_with(three, accumulate_grad_batches=3)
    assert curve_of(one).batch_size == 8
    assert curve_of(three).batch_size == 24
    assert len(three.rates) == 30


def test_precision_and_clipping_are_the_trainers(fit_with: Any) -> None:
    plain, low, clipped = LRFinder(num_steps=30), LRFinder(num_steps=30), LRFinder(num_steps=30)
    fit_with(plain)
    fit_with(low, precision="bf16-mixed")
    fit_with(clipped, gradient_clip_val=1e-9)
    assert curve_of(low).losses != curve_of(plain).losses
    assert curve_of(low).losses[0] == pytest.approx(curve_of(plain).losses[0], rel=0.05)
    assert curve_of(clipped).losses != curve_of(plain).losses


@pytest.mark.parametrize("step", [0, 5, 20])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_test_leaves_nothing(
    fit_with: Any, make_net: Any, watch_steps: Any, tmp_path: Path, step: int, error: type[BaseException]
) -> None:
    def stop(calls: list[int], loss: torch.Tensor) -> torch.Tensor:
        if len(calls) > step:
            raise error
        return loss

    net = make_net()
    original = {name: value.clone() for name, value in net.state_dict().items()}
    watch_steps(stop)
    with pytest.raises((SystemExit, KeyboardInterrupt, RuntimeError)):
        fit_with(LRFinder(), net=net)
    expected = torch.Generator().manual_seed(3).get_state()
    assert torch.equal(torch.get_rng_state(), expected)
    assert all(torch.equal(value, original[name]) for name, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize("frozen_bn", ["train", "eval"])
def test_a_classifier_is_tested_and_trained_as_the_recipe_says(fit_with: Any, frozen_bn: Any) -> None:
    def net() -> Classifier:
        torch.manual_seed(0)
        return Classifier("resnet18", classes=["cat", "dog", "frog"], weights=None, frozen_bn=frozen_bn)

    finder = LRFinder(num_steps=30)
    reported = fit_with(finder, net=net())
    assert 16 < len(curve_of(finder).losses) <= 30
    assert same_run(reported, fit_with(None, net=net()))
    assert reported.model.frozen_groups == ()
