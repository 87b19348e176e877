from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, GradientAccumulationScheduler
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor

from pets.callbacks.one_cycle import OneCycle
from pets.callbacks.step_seed import StepSeed
from pets.schedule.one_cycle import one_cycle_lr, one_cycle_momentum, position
from pets.schedule.recipe import Phase, Recipe, fine_tune, one_cycle

RECIPE = fine_tune(epochs=2, freeze_epochs=2, base_lr=0.1)
GROUPS = ["early/decay", "early/no_decay", "late/decay", "late/no_decay", "head/decay", "head/no_decay"]


class Steps(Callback):
    """Records, at every optimizer step, the optimizer's groups and which parameters require a gradient."""

    def __init__(self) -> None:
        self.groups: list[list[dict[str, Any]]] = []
        self.trainable: list[dict[str, bool]] = []
        self.states: list[int] = []

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        self.groups.append([{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups])
        self.trainable.append({name: p.requires_grad for name, p in pl_module.named_parameters()})
        self.states.append(len(optimizer.state))

    def lrs(self, name: str = "head/decay") -> list[float]:
        return [group["lr"] for groups in self.groups for group in groups if group["name"] == name]


def expected_lrs(recipe: Recipe, steps: int, per_epoch: int, group: str = "head", max_steps: int = -1) -> list[float]:
    places = [position(step, per_epoch, recipe, max_steps) for step in range(steps)]
    phases = [recipe.phases[place.phase] for place in places]
    return [one_cycle_lr(place.t, phase.group_lrs()[group], phase) for place, phase in zip(places, phases, strict=True)]


@pytest.fixture
def fit(make_net: Any, make_loader: Any, make_trainer: Any) -> Callable[..., tuple[Steps, LightningModule]]:
    """Fits a recipe and returns what its steps recorded and the trained network."""

    def run(recipe: Recipe, batches: int = 4, ckpt_path: Path | None = None, **settings: Any) -> Any:
        steps, net = Steps(), make_net()
        callbacks = [StepSeed(0), OneCycle(recipe), steps, *settings.pop("callbacks", [])]
        trainer = make_trainer(**{"max_epochs": recipe.epochs, "callbacks": callbacks, **settings})
        trainer.fit(net, make_loader(batches), make_loader(1), ckpt_path=ckpt_path, weights_only=True)
        return steps, net

    return run


class SaveEveryEpoch(Callback):
    """Saves at the moment at which ModelCheckpoint does, under the number of the epoch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.save_checkpoint(self.folder / f"{trainer.current_epoch}.ckpt")


def equal(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_groups_follow_their_own_rate_and_the_common_momentum(fit: Any) -> None:
    steps, _ = fit(RECIPE)
    for group in ("early", "late", "head"):
        assert steps.lrs(f"{group}/no_decay") == steps.lrs(f"{group}/decay") == expected_lrs(RECIPE, 16, 4, group)
    places = [position(step, 4, RECIPE) for step in range(16)]
    momenta = [one_cycle_momentum(place.t, RECIPE.phases[place.phase]) for place in places]
    assert [groups[0]["betas"] for groups in steps.groups] == [(momentum, 0.99) for momentum in momenta]


def test_the_optimizers_groups_never_change(fit: Any) -> None:
    steps, _ = fit(RECIPE)
    assert all([group["name"] for group in groups] == GROUPS for groups in steps.groups)


def test_frozen_groups_stand_still_until_they_are_unfrozen(fit: Any, make_net: Any) -> None:
    start = make_net().state_dict()
    steps, frozen_only = fit(fine_tune(epochs=0, freeze_epochs=2, base_lr=0.1))
    for name, value in frozen_only.named_parameters():
        assert torch.equal(value, start[name]) != name.startswith("head")
    steps, net = fit(RECIPE)
    trainable = [sum(state.values()) for state in steps.trainable]
    assert trainable == [2] * 8 + [10] * 8
    assert not any(torch.equal(value, start[name]) for name, value in net.named_parameters())


def test_every_phase_starts_with_an_optimizer_without_state(fit: Any) -> None:
    recipe = one_cycle([Phase(1, False, 0.1), Phase(1, True, 0.1), Phase(1, False, 0.1)])
    steps, _ = fit(recipe, batches=2)
    assert steps.states == [0, 10, 0, 2, 0, 10]


@pytest.mark.parametrize("stop_after", [1, 2, 3])
@pytest.mark.parametrize("val_every", [1, 2])
def test_a_run_resumed_at_any_epoch_boundary_ends_bit_for_bit_like_the_straight_run(
    fit: Any, tmp_path: Path, stop_after: int, val_every: int
) -> None:
    straight, net = fit(RECIPE, callbacks=[SaveEveryEpoch(tmp_path)], check_val_every_n_epoch=val_every)
    checkpoint = tmp_path / f"{stop_after - 1}.ckpt"
    resumed, again = fit(RECIPE, ckpt_path=checkpoint, check_val_every_n_epoch=val_every)
    assert resumed.trainable == straight.trainable[4 * stop_after :]
    assert resumed.groups == straight.groups[4 * stop_after :]
    assert equal(again.state_dict(), net.state_dict())


def test_a_checkpoint_of_the_frozen_phase_resumes_into_the_unfrozen_one(fit: Any, tmp_path: Path) -> None:
    fit(RECIPE, callbacks=[SaveEveryEpoch(tmp_path)])
    resumed, _ = fit(RECIPE, ckpt_path=tmp_path / "1.ckpt")
    assert [sum(state.values()) for state in resumed.trainable] == [10] * 8
    assert resumed.states[0] == 0


@pytest.mark.parametrize("step", [2, 10])
def test_a_checkpoint_from_the_middle_of_an_epoch_resumes_in_its_phase(fit: Any, tmp_path: Path, step: int) -> None:
    class SaveInTheMiddle(Callback):
        def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
            if trainer.global_step == step:
                trainer.save_checkpoint(tmp_path / "middle.ckpt")

    straight, _ = fit(RECIPE, callbacks=[SaveInTheMiddle()])
    with pytest.warns(UserWarning, match="ended before the epoch ended"):
        resumed, _ = fit(RECIPE, ckpt_path=tmp_path / "middle.ckpt")
    assert resumed.lrs() == straight.lrs()[step:]
    assert resumed.trainable == straight.trainable[step:]
    assert resumed.states == straight.states[step:]


@pytest.mark.parametrize(("accumulate", "per_epoch"), [(1, 7), (3, 3)])
def test_accumulated_batches_with_an_uneven_last_one_are_one_step(fit: Any, accumulate: int, per_epoch: int) -> None:
    recipe = fine_tune(epochs=2, freeze_epochs=1)
    steps, _ = fit(recipe, batches=7, accumulate_grad_batches=accumulate)
    assert steps.lrs() == expected_lrs(recipe, 3 * per_epoch, per_epoch)


@pytest.mark.parametrize(("limit", "per_epoch"), [(3, 3), (0.5, 3)])
def test_limited_training_batches_shorten_the_cycle(fit: Any, limit: int | float, per_epoch: int) -> None:
    steps, _ = fit(RECIPE, batches=6, limit_train_batches=limit)
    assert steps.lrs() == expected_lrs(RECIPE, 4 * per_epoch, per_epoch)


@pytest.mark.parametrize("max_steps", [3, 8, 11, 100])
def test_the_cycle_completes_under_max_steps(fit: Any, max_steps: int) -> None:
    steps, _ = fit(RECIPE, max_steps=max_steps)
    assert steps.lrs() == expected_lrs(RECIPE, min(max_steps, 16), 4, max_steps=max_steps)


def test_fast_dev_run_follows_the_recipe_for_its_few_steps(fit: Any) -> None:
    steps, _ = fit(RECIPE, fast_dev_run=2)
    assert steps.lrs() == expected_lrs(RECIPE, 2, 2, max_steps=2)


def test_a_longer_recipe_on_resume_is_computed_anew(fit: Any, tmp_path: Path) -> None:
    fit(fine_tune(epochs=2, freeze_epochs=1), callbacks=[SaveEveryEpoch(tmp_path)])
    longer = fine_tune(epochs=4, freeze_epochs=1)
    resumed, _ = fit(longer, ckpt_path=tmp_path / "1.ckpt")
    assert resumed.lrs() == expected_lrs(longer, 20, 4)[8:]


def test_another_number_of_batches_on_resume_keeps_phase_and_rate_together(fit: Any, tmp_path: Path) -> None:
    fit(RECIPE, callbacks=[SaveEveryEpoch(tmp_path)])
    resumed, _ = fit(RECIPE, batches=2, ckpt_path=tmp_path / "1.ckpt")
    assert resumed.lrs() == expected_lrs(RECIPE, 8, 2)[4:]
    assert [sum(state.values()) for state in resumed.trainable] == [10] * 4


def test_epochs_that_differ_from_the_recipe_are_an_error(fit: Any) -> None:
    with pytest.raises(ValueError, match=r"max_epochs=5, but the recipe has 4 epochs: set max_epochs=4"):
        fit(RECIPE, max_epochs=5)


def test_a_time_limit_is_an_error(fit: Any) -> None:
    with pytest.raises(ValueError, match=r"max_time: a cycle has to know its last step"):
        fit(RECIPE, max_time="00:01:00:00")


def test_resuming_under_max_steps_is_an_error(fit: Any, tmp_path: Path) -> None:
    fit(RECIPE, callbacks=[SaveEveryEpoch(tmp_path)], max_steps=8)
    with pytest.raises(ValueError, match=r"trainer\.max_steps=8 cannot be resumed"):
        fit(RECIPE, ckpt_path=tmp_path / "0.ckpt", max_steps=8)


def test_changing_accumulation_is_an_error(fit: Any) -> None:
    with pytest.raises(ValueError, match="accumulate_grad_batches must not change"):
        fit(RECIPE, callbacks=[GradientAccumulationScheduler({0: 1, 2: 2})])


def test_early_stopping_warns(fit: Any) -> None:
    with pytest.warns(UserWarning, match="EarlyStopping may cut the cycle short"):
        fit(RECIPE, callbacks=[EarlyStopping("valid/loss", patience=9)])


def test_a_scheduler_beside_the_recipe_is_an_error(make_net: Any, make_loader: Any, make_trainer: Any) -> None:
    net = make_net()
    optimizer = net.configure_optimizers()
    net.configure_optimizers = lambda: ([optimizer], [torch.optim.lr_scheduler.ConstantLR(optimizer)])
    with pytest.raises(ValueError, match="must return one optimizer only"):
        make_trainer(max_epochs=4, callbacks=[OneCycle(RECIPE)]).fit(net, make_loader(), make_loader(1))


def test_an_optimizer_without_the_layer_groups_is_an_error(make_net: Any, make_loader: Any, make_trainer: Any) -> None:
    net = make_net()
    net.configure_optimizers = lambda: torch.optim.SGD(net.parameters(), 0.1)
    with pytest.raises(ValueError, match="named by layer, head the last; the optimizer has unnamed"):
        make_trainer(max_epochs=4, callbacks=[OneCycle(RECIPE)]).fit(net, make_loader(), make_loader(1))


def test_a_rate_for_each_of_other_groups_is_an_error(make_net: Any, make_loader: Any, make_trainer: Any) -> None:
    recipe = one_cycle([Phase(1, True, 0.1), Phase(1, False, (0.1, 0.2, 0.3, 0.4))])
    with pytest.raises(
        ValueError, match=r"^recipe\.phases\[1\]\.lr=\[0\.1, .*\] is not allowed: .* early, late, head$"
    ):
        make_trainer(max_epochs=2, callbacks=[OneCycle(recipe)]).fit(make_net(), make_loader(), make_loader(1))


def test_sgd_gets_its_momentum(make_net: Any, make_loader: Any, make_trainer: Any) -> None:
    net, steps = make_net(), Steps()
    net.configure_optimizers = lambda: torch.optim.SGD(
        [{"name": name, "params": parameters} for name, parameters in net.groups().items()], lr=1.0, momentum=0.9
    )
    make_trainer(max_epochs=4, callbacks=[OneCycle(RECIPE), steps]).fit(net, make_loader(), make_loader(1))
    assert steps.groups[0][0]["momentum"] == 0.95
    assert steps.lrs() == expected_lrs(RECIPE, 16, 4)


@pytest.mark.parametrize(("short", "every"), [(15, 5), (16, 1)])
def test_rates_and_momenta_are_logged_every_few_steps_and_at_each_of_a_short_run(
    fit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short: int, every: int
) -> None:
    monkeypatch.setattr("pets.callbacks.one_cycle.SHORT", short)
    fit(RECIPE, logger=CSVLogger(tmp_path, name="", version=""), log_every_n_steps=5)
    header, *rows = [line.split(",") for line in (tmp_path / "metrics.csv").read_text().splitlines()]
    logged = [dict(zip(header, row, strict=True)) for row in rows]
    logged = [row for row in logged if row["lr/head"]]
    assert [int(row["step"]) for row in logged] == list(range(0, 16, every))
    assert [float(row["lr/head"]) for row in logged] == pytest.approx(expected_lrs(RECIPE, 16, 4)[::every])
    assert float(logged[0]["momentum"]) == 0.95


def test_a_found_base_lr_is_kept_in_checkpoints_as_a_plain_number() -> None:
    found = OneCycle(RECIPE)
    found.set_base_lr(0.02)
    restored = OneCycle(RECIPE)
    restored.load_state_dict(found.state_dict())
    assert restored.recipe == found.recipe
    assert found.state_dict() == {"base_lr": 0.02}
    untouched = OneCycle(RECIPE)
    untouched.load_state_dict(OneCycle(fine_tune(base_lr=0.5)).state_dict())
    assert untouched.recipe is RECIPE
