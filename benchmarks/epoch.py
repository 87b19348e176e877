"""A whole fit against the same loop written bare, and the LR finder: seconds.

The fit is what `python train.py` runs: built from conf/ with its default callbacks, logger and checkpoints.
"""

import copy
import shutil
from collections.abc import Iterator
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from benchmarks import ours, rivals
from benchmarks.harness import Case, Claim, Table, interleave
from benchmarks.settings import Settings
from pets import build
from pets.data.datamodule import ImageDataModule
from pets.model.classifier import Classifier
from pets.schedule.one_cycle import one_cycle_lr, one_cycle_momentum, position
from pets.schedule.recipe import Recipe, fine_tune

ARCH, BATCH, RANGE_STEPS = "resnet18", 16, 100


def measure(settings: Settings) -> Iterator[Table]:
    """Yield one frozen and one unfrozen epoch, then the LR range test."""
    yield _fits(settings)
    yield _range_tests(settings)


def _config(settings: Settings) -> DictConfig:
    root = settings.images.root.resolve()
    choices = ["data=regex", f"data.root={root}", f"data.batch_size={BATCH}", f"data.num_workers={rivals.WORKERS}"]
    choices += [f"model={ARCH}", "model.weights=null", "recipe.epochs=1", "trainer=cpu"]
    return ours.config(settings.out / "fit", choices)


def _fits(settings: Settings) -> Table:
    cfg = _config(settings)
    data = build.data_module(cfg)
    template = build.classifier(cfg, data.vocab)

    def fit() -> None:
        shutil.rmtree(cfg.run_dir, ignore_errors=True)
        build.trainer(cfg).fit(copy.deepcopy(template), data)

    def bare() -> None:
        _bare_fit(copy.deepcopy(template), data, fine_tune(epochs=1))

    cases = [Case("fit", fit), Case("bare loop", bare)]
    table = Table("fit", f"{ARCH}, one frozen and one unfrozen epoch, batch {BATCH}, with validation", "s", 2)
    table.claims = [Claim("fit", "bare loop", at_most=1.03)]
    if rivals.available():
        cases.append(Case("fastai", lambda: rivals.photo_learner(settings.images.files, ARCH, BATCH).fine_tune(1)))
    else:
        table.notes.append(rivals.MISSING)
    table.measures = interleave(cases, settings.repeats)
    return table


def _bare_fit(model: Classifier, data: ImageDataModule, recipe: Recipe) -> float:
    """Train and validate without Lightning; return the last error rate."""
    optimizer = model.configure_optimizers()
    loaders = data.train_dataloader(), data.val_dataloader()
    sampler: Any = loaders[0].sampler
    error = 1.0
    for epoch in range(recipe.epochs):
        _, phase, first = recipe.phase_at(epoch)
        model.freeze_to("head" if phase.frozen else "early")
        if epoch == first:
            optimizer.state.clear()
        sampler.set_epoch(epoch)
        _train_epoch(model, data, loaders[0], optimizer, recipe, epoch)
        error = _error_rate(model, data, loaders[1])
    return error


def _train_epoch(
    model: Classifier, data: ImageDataModule, loader: DataLoader[Any], optimizer: Optimizer, recipe: Recipe, epoch: int
) -> None:
    model.train()
    for index, batch in enumerate(loader):
        place = position(epoch * len(loader) + index, len(loader), recipe)
        phase = recipe.phases[place.phase]
        peaks = phase.group_lrs()
        for group in optimizer.param_groups:
            group["lr"] = one_cycle_lr(place.t, peaks[group["name"].split("/")[0]], phase)
            group["betas"] = (one_cycle_momentum(place.t, phase), group["betas"][1])
        ready = data.batch_transform.train(batch)
        optimizer.zero_grad()
        model.loss(model(ready.images), ready.targets).backward()
        optimizer.step()


def _error_rate(model: Classifier, data: ImageDataModule, loader: DataLoader[Any]) -> float:
    model.eval()
    wrong: list[Tensor] = []
    with torch.inference_mode():
        for batch in loader:
            ready = data.batch_transform.evaluate(batch)
            wrong.append(model(ready.images).argmax(1) != ready.targets)
    return torch.cat(wrong).float().mean().item()


def _range_tests(settings: Settings) -> Table:
    cfg = _config(settings)
    data = build.data_module(cfg)
    model = build.classifier(cfg, data.vocab)

    cases = [Case("ours", lambda: ours.range_test(model, data, RANGE_STEPS, settings.out / "lr_finder"))]
    title = f"LR range test, {RANGE_STEPS} steps, {ARCH} with the body frozen, batch {BATCH}"
    table = Table("lr_finder", title, "s", 1, claims=[Claim("ours", "fastai", at_most=1.0)])
    if rivals.available():
        learn = rivals.photo_learner(settings.images.files, ARCH, BATCH)
        cases.append(Case("fastai", lambda: rivals.range_test(learn, RANGE_STEPS)))
    else:
        table.notes.append(rivals.MISSING)
    table.measures = interleave(cases, min(3, settings.repeats), warmup=0)
    return table
