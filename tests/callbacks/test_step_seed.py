from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer

from pets.callbacks.step_seed import StepSeed


class Draws(Callback):
    """Records one random number a batch."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self.seen.append(float(torch.rand(1)))


@pytest.fixture
def draws(make_net: Any, make_loader: Any, make_trainer: Any) -> Any:
    def fit(seed: int) -> list[float]:
        draws = Draws()
        torch.seed()
        trainer = make_trainer(max_epochs=2, callbacks=[StepSeed(seed), draws])
        trainer.fit(make_net(), make_loader(3), make_loader(1))
        return draws.seen

    return fit


def test_the_draws_of_a_step_depend_on_its_position_alone(draws: Any) -> None:
    first = draws(seed=0)
    assert first == draws(seed=0)
    assert len(set(first)) == 6
    assert set(first).isdisjoint(draws(seed=1))


def test_ranks_draw_differently(draws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = draws(seed=0)
    monkeypatch.setattr(Trainer, "global_rank", 1)
    assert set(first).isdisjoint(draws(seed=0))


def test_a_negative_seed_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"seed=-1 is not allowed"):
        StepSeed(-1)
