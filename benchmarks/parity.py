"""The same ResNet, weights, batches and recipe through fastai and through pets: the losses, step by step.

In float64 (the loss itself in float32), where rounding hardly grows; both draw the same dropout masks.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from benchmarks import ours, rivals
from benchmarks.harness import Claim, Table
from benchmarks.settings import Settings
from pets.callbacks.one_cycle import OneCycle
from pets.callbacks.step_seed import StepSeed
from pets.data.rng import Stream, generator
from pets.model.classifier import Classifier
from pets.schedule.recipe import fine_tune

ARCH, CLASSES, BATCHES, EPOCHS, FROZEN_EPOCHS, BASE_LR, SEED = "resnet18", 5, 6, 2, 1, 2e-3, 0

Batches = Sequence[tuple[Tensor, Tensor]]


def measure(settings: Settings) -> Iterator[Table]:
    """Yield the losses of both and their largest relative difference in each phase."""
    title = f"fine_tune({EPOCHS}) of {ARCH} beside fastai's: largest relative difference of the losses"
    table = Table("parity", title, "millionths", 2)
    if not rivals.available():
        table.notes.append(rivals.MISSING)
        yield table
        return
    torch.manual_seed(SEED)
    batches = [(torch.rand(8, 3, 64, 64).double(), torch.randint(CLASSES, (8,))) for _ in range(BATCHES)]
    losses = compare(batches)
    boundary = FROZEN_EPOCHS * BATCHES
    for phase, part in (("frozen", slice(0, boundary)), ("unfrozen", slice(boundary, None))):
        pairs = zip(losses["ours"][part], losses["fastai"][part], strict=True)
        table.measures[f"{phase} phase"] = [1e6 * max(abs(a - b) / b for a, b in pairs)]
        table.claims = [*table.claims, Claim(f"{phase} phase", at_most=1.0)]
    for step, pair in enumerate(zip(*losses.values(), strict=True)):
        table.notes.append(f"step {step}: ours {pair[0]:.12f}, fastai {pair[1]:.12f}")
    yield table


def compare(batches: Batches) -> dict[str, list[float]]:
    """Train both sides from the same weights and return their losses, one a step."""
    model = ours.classifier(ARCH, CLASSES, frozen_bn="train")
    shown = [((images - model.mean) / model.std, targets) for images, targets in batches]
    learn = rivals.learner(ARCH, shown, CLASSES, frozen=False)
    learn.model.double()
    for mine, theirs in ((model.backbone, learn.model[0]), (model.head, learn.model[1])):
        _copy(theirs, mine)
    return {"ours": _train_ours(model, batches), "fastai": _train_fastai(learn)}


def _copy(source: nn.Module, target: nn.Module) -> None:
    """Copy parameters and buffers in the order of the layers; the names differ, the shapes may not."""
    with torch.no_grad():
        for mine, theirs in zip(target.state_dict().values(), source.state_dict().values(), strict=True):
            mine.copy_(theirs)


def _train_ours(model: Classifier, batches: Batches) -> list[float]:
    losses: list[float] = []

    class Losses(lightning.Callback):
        def on_train_batch_end(
            self, trainer: object, pl_module: object, outputs: Any, batch: object, batch_idx: int
        ) -> None:
            losses.append(outputs["loss"].item())

    recipe = fine_tune(EPOCHS, FROZEN_EPOCHS, BASE_LR)
    callbacks = [StepSeed(SEED), OneCycle(recipe), Losses()]
    trainer = ours.quiet_trainer("64-true", callbacks, recipe.epochs)
    trainer.fit(model, ours.batch_loader(batches))
    return losses


def _train_fastai(learn: Any) -> list[float]:
    fastai = rivals.vision()
    losses: list[float] = []

    class Seed(fastai.Callback):  # type: ignore[name-defined, misc]
        """Draws dropout as `StepSeed` does."""

        def before_fit(self) -> None:
            self.first_epoch = len(losses) // BATCHES

        def before_batch(self) -> None:
            draw = generator(SEED, Stream.STEP, self.first_epoch + self.epoch, self.iter, 0)
            torch.manual_seed(int(draw.integers(2**63)))

        def after_loss(self) -> None:
            losses.append(self.loss.item())

        def before_validate(self) -> None:
            raise fastai.CancelValidException

    learn.fine_tune(EPOCHS, BASE_LR, FROZEN_EPOCHS, cbs=Seed())
    return losses
