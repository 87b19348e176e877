"""Progressive resizing: each phase trains at its own size of images, and everything else stays at the evaluation's."""

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from pets.augment.batch import BatchTransform
from pets.callbacks.dashboards import Dashboards
from pets.callbacks.lr_finder import LRFinder
from pets.callbacks.one_cycle import OneCycle
from pets.callbacks.step_seed import StepSeed
from pets.data.batch import Batch
from pets.data.datamodule import ImageDataModule
from pets.data.labels import RegexLabeller
from pets.data.presize import Presize
from pets.data.sources.folder import ImageFolder
from pets.data.splits import SplitRule
from pets.evaluation.figures.batches import before_and_after
from pets.schedule.recipe import Phase, Recipe, one_cycle

EVALUATION = 24
GROWING = one_cycle([Phase(1, True, 0.01, size=12), Phase(2, False, 0.01, size=16), Phase(1, False, 0.01)])
SIZES = [12, 16, 16, EVALUATION]
"""Of each epoch of GROWING."""


class Sizes(Callback):
    """Records the side of the images of every training batch by epoch, and of every validation batch."""

    def __init__(self) -> None:
        self.trained: dict[int, set[int]] = {}
        self.validated: set[int] = set()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        assert batch.images.shape[-2] == batch.images.shape[-1]
        self.trained.setdefault(trainer.current_epoch, set()).add(batch.images.shape[-1])

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, *args: Any, **kwargs: Any
    ) -> None:
        self.validated.add(batch.images.shape[-1])


@pytest.fixture
def make_data(tiny_pets: Path) -> Callable[..., ImageDataModule]:
    """Returns data modules of 17 training and 7 validation images."""

    def build(**augment: Any) -> ImageDataModule:
        transform = BatchTransform(size=EVALUATION, **augment)
        split = SplitRule(valid_pct=0.3)
        return ImageDataModule(
            ImageFolder(tiny_pets), RegexLabeller(), split, transform, presize=Presize(32), batch_size=4, num_workers=0
        )

    return build


@pytest.fixture
def fit(make_net: Any, make_data: Any, make_trainer: Any) -> Callable[..., SimpleNamespace]:
    """Fits a recipe on the photographs; returns the network, its data and the sizes it saw."""

    def run(recipe: Recipe, ckpt_path: Path | None = None, **settings: Any) -> SimpleNamespace:
        net, sizes = make_net(), Sizes()
        data = settings.pop("data", None) or make_data()
        callbacks = [StepSeed(0), OneCycle(recipe), sizes, *settings.pop("callbacks", [])]
        trainer = make_trainer(max_epochs=recipe.epochs, callbacks=callbacks, use_distributed_sampler=False, **settings)
        trainer.fit(net, data, ckpt_path=ckpt_path, weights_only=True)
        return SimpleNamespace(net=net, data=data, trained=sizes.trained, validated=sizes.validated)

    return run


def same_weights(ours: LightningModule, theirs: LightningModule) -> bool:
    other = theirs.state_dict()
    return all(torch.equal(value, other[name]) for name, value in ours.state_dict().items())


@pytest.mark.parametrize("mix", ["none", "mixup", "cutmix"])
def test_each_phase_trains_at_its_size_and_evaluation_keeps_its_own(fit: Any, make_data: Any, mix: str) -> None:
    run = fit(GROWING, data=make_data(mix=mix))
    assert run.trained == {epoch: {size} for epoch, size in enumerate(SIZES)}
    assert run.validated == {EVALUATION}
    assert run.data.state_dict()["size"] == EVALUATION


def test_a_phase_of_the_evaluations_size_is_one_without_a_size(fit: Any) -> None:
    plain, sized = (fit(one_cycle([Phase(1, False, 0.01, size=size)])) for size in (None, EVALUATION))
    assert plain.trained == sized.trained == {0: {EVALUATION}}
    assert same_weights(plain.net, sized.net)


def test_the_size_changes_only_the_sampling_of_the_images(make_data: Any) -> None:
    data = make_data()
    batch = next(iter(data.train_dataloader()))
    data.train_size = 16
    assert torch.equal(data.augment(batch).images, BatchTransform(size=16).train(batch).images)
    assert data.on_after_batch_transfer(batch, 0).images.shape[-1] == EVALUATION


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_run_resumed_at_any_epoch_ends_bit_for_bit_like_the_straight_run(
    fit: Any, tmp_path: Path, epoch: int
) -> None:
    class SaveEveryEpoch(Callback):
        def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            trainer.save_checkpoint(tmp_path / f"{trainer.current_epoch}.ckpt")

    straight = fit(GROWING, callbacks=[SaveEveryEpoch()])
    resumed = fit(GROWING, ckpt_path=tmp_path / f"{epoch - 1}.ckpt")
    assert resumed.trained == {later: {SIZES[later]} for later in range(epoch, 4)}
    assert same_weights(resumed.net, straight.net)


def test_the_data_module_is_as_it_was_after_a_fit(fit: Any) -> None:
    ends_small = one_cycle([Phase(1, False, 0.01, size=12)])
    assert fit(ends_small).data.train_size is None


def test_the_range_test_runs_at_the_size_of_the_first_phase_and_leaves_the_run_alone(
    fit: Any, make_net: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = fit(GROWING)
    seen: list[int] = []
    net_type = type(make_net())
    original = net_type.training_step

    def step(self: LightningModule, batch: Batch, batch_idx: int) -> Tensor:
        seen.append(batch.images.shape[-1])
        return original(self, batch, batch_idx)

    monkeypatch.setattr(net_type, "training_step", step)
    tested = fit(GROWING, callbacks=[LRFinder(num_steps=30)])
    steps = sum(size == 12 for size in seen)
    assert 34 >= steps > 4
    assert seen[:steps] == [12] * steps
    assert same_weights(tested.net, plain.net)


def test_the_range_test_puts_the_size_back(make_net: Any, make_data: Any, make_trainer: Any) -> None:
    data = make_data()
    data.train_size = 20
    finder = LRFinder(num_steps=30, recipe=GROWING)
    make_trainer(max_epochs=0, callbacks=[finder], use_distributed_sampler=False).fit(make_net(), data)
    assert finder.curve is not None
    assert data.train_size == 20


def test_the_picture_of_the_first_batch_shows_what_is_trained_on(fit: Any, tmp_path: Path, monkeypatch: Any) -> None:
    shown: list[int | None] = []

    def picture(data: ImageDataModule, n: int) -> Any:
        shown.append(data.train_size)
        return before_and_after(data, n)

    monkeypatch.setattr("pets.callbacks.dashboards.before_and_after", picture)
    logger = TensorBoardLogger(tmp_path, name="", version="")
    fit(one_cycle([Phase(1, False, 0.01, size=12)]), callbacks=[Dashboards(2)], logger=logger)
    assert shown == [12]


@pytest.mark.parametrize("with_cycle", [True, False])
def test_a_size_without_a_data_module_that_follows_it_is_an_error(
    make_net: Any, make_loader: Any, make_trainer: Any, with_cycle: bool
) -> None:
    recipe = one_cycle([Phase(1, False, 0.01, size=16)])
    callback = OneCycle(recipe) if with_cycle else LRFinder(num_steps=30, recipe=recipe)
    message = "recipe.phases[0].size=16 is not allowed: the fit has no ImageDataModule"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make_trainer(max_epochs=1, callbacks=[callback]).fit(make_net(), make_loader(), make_loader(1))
