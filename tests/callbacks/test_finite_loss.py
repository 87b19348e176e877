"""A run that has gone wrong stops, says where, and leaves its last good checkpoint."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningModule
from lightning.pytorch.callbacks import ModelCheckpoint

from pets.callbacks.finite_loss import FiniteLoss
from pets.callbacks.one_cycle import OneCycle
from pets.schedule.one_cycle import one_cycle_lr, position
from pets.schedule.recipe import fine_tune

RECIPE = fine_tune(epochs=3, freeze_epochs=0, base_lr=0.1)


@pytest.fixture
def fit(make_net: Any, make_loader: Any, make_trainer: Any, tmp_path: Path) -> Callable[..., LightningModule]:
    """Fits three epochs of four batches and saves after each; `spoil` changes the loss of a step."""

    def run(spoil: Callable[[LightningModule, int, Any], Any], **settings: Any) -> LightningModule:
        net = make_net()
        step = net.training_step
        net.training_step = lambda batch, batch_idx: spoil(net, net.trainer.global_step, step(batch, batch_idx))
        saving = ModelCheckpoint(tmp_path, filename="last", enable_version_counter=False, save_on_train_epoch_end=True)
        callbacks = [OneCycle(RECIPE), FiniteLoss(), saving]
        trainer = make_trainer(max_epochs=3, callbacks=callbacks, enable_checkpointing=True, **settings)
        trainer.fit(net, make_loader(4), make_loader(1))
        return net

    return run


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(("bad_step", "every", "stops_after"), [(5, 1, 5), (5, 3, 7), (6, 50, 7), (11, 50, 11)])
@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
def test_a_loss_that_is_not_finite_stops_the_run_at_the_next_look(
    fit: Any, tmp_path: Path, value: float, bad_step: int, every: int, stops_after: int
) -> None:
    seen: list[int] = []

    def spoil(net: LightningModule, step: int, loss: torch.Tensor) -> torch.Tensor:
        seen.append(step)
        return loss * value if step == bad_step else loss

    place = position(bad_step, 4, RECIPE)
    rate = one_cycle_lr(place.t, RECIPE.phases[0].group_lrs()["head"], RECIPE.phases[0])
    says = rf"not finite at step {bad_step} \(learning rate of the head {rate:.2e}\): try a tenth of recipe.base_lr"
    with pytest.raises(FloatingPointError, match=says.replace("+", r"\+")):
        fit(spoil, log_every_n_steps=every)
    assert seen[-1] == stops_after
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 4 * (bad_step // 4)
    assert all(tensor.isfinite().all() for tensor in saved["state_dict"].values())


def test_weights_that_the_last_step_spoiled_are_not_saved(fit: Any, tmp_path: Path) -> None:
    def spoil(net: LightningModule, step: int, loss: torch.Tensor) -> torch.Tensor:
        if step == 7:
            loss.register_hook(lambda gradient: gradient * float("nan"))
        return loss

    with pytest.raises(FloatingPointError, match="the weights are not finite after step 7"):
        fit(spoil)
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 4


def test_a_good_run_is_left_alone(fit: Any) -> None:
    assert fit(lambda net, step, loss: loss).trainer.global_step == 12
