"""Training on one CUDA device, all unfrozen, batch 64 at 224^2: images a second, and the batch transform's share.

Synthetic batches lie on the device before the clock starts, so they show what the network alone allows; the pipeline
reads, augments and trains. fastai runs on the same device in the same rounds, in bfloat16 too.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import ours, rivals
from benchmarks.device import Scale, Stopwatch, Variant, fit_seconds, transform_share
from benchmarks.harness import Case, Claim, Table, interleave, rates
from benchmarks.images import repeated
from benchmarks.settings import Settings
from pets import machine
from pets.data.datamodule import ImageDataModule
from pets.model.classifier import Classifier, fastai_adamw
from pets.settings.data import Cache

ARCHS = ("resnet34", "resnet50")
IMAGES = 8000
"""Read at least; smaller sets are repeated, so that a run need not start over."""
NO_DEVICE = "there is no CUDA device here: nothing of this part is measured"

FAST = Variant()
SHIPPED = replace(FAST, compile=False, fused=None)
"""What `trainer=gpu` runs where nothing else is typed."""
VARIANTS = {
    "bfloat16, compiled": FAST,
    "bfloat16": replace(FAST, compile=False),
    "bfloat16, AdamW as torch chooses: as shipped": SHIPPED,
    "float32, compiled": replace(FAST, precision="32-true"),
    "float32": replace(FAST, precision="32-true", compile=False),
}


LOADED: tuple[Cache, ...] = ("none", "ram")
"""Values of data.cache that are compared."""


def measure(settings: Settings) -> Iterator[Table]:
    """Yield the rates and the share of the batch transform of each architecture."""
    if not torch.cuda.is_available():
        yield Table("gpu", "Training on one GPU", "images/s", notes=[NO_DEVICE])
        return
    root = repeated(settings.images, -(-IMAGES // len(settings.images.files)), settings.out)
    for arch in ARCHS:
        torch.compiler.reset()
        yield from tables(arch, root, Scale(workers=machine.available_cores()), settings.repeats, VARIANTS)


def tables(
    arch: str, root: Path, scale: Scale, repeats: int, variants: dict[str, Variant], **options: Any
) -> Iterator[Table]:
    """Yield the tables of one architecture; `options` are those of the classifier."""
    loaders: dict[str, ImageDataModule] = {cache: _data(root, scale, cache) for cache in LOADED}

    def make(variant: Variant) -> Classifier:
        return _classifier(arch, len(loaders["none"].vocab), variant, **options)

    name, fast = next(iter(variants.items()))
    yield _rates(arch, scale, repeats, variants, make, loaders)
    shares = {name: fast, "bfloat16": replace(fast, compile=False)}
    cases = [
        Case(key, partial(transform_share, make(variant), loaders["none"], variant, scale))
        for key, variant in shares.items()
    ]
    title = f"Share of the batch transform in a step, {arch}, batch {scale.batch}, by CUDA events"
    claims = [Claim(key, None, at_most=0.05) for key in shares]
    yield Table(f"gpu_transform_{arch}", title, "of the step", 3, measures=interleave(cases, repeats), claims=claims)


def _rates(
    arch: str,
    scale: Scale,
    repeats: int,
    variants: dict[str, Variant],
    make: Callable[[Variant], Classifier],
    loaders: dict[str, ImageDataModule],
) -> Table:
    name, fast = next(iter(variants.items()))
    n_classes = len(loaders["none"].vocab)
    batches = _synthetic(scale, n_classes)
    train: dict[str, tuple[Variant, Any]] = {
        f"synthetic, {key}": (variant, ours.batch_loader(batches)) for key, variant in variants.items()
    }
    train |= {f"pipeline, cache {cache}, {name}": (fast, data) for cache, data in loaders.items()}
    runs: dict[str, Callable[[], float]] = {
        key: partial(fit_seconds, make(variant), data, variant, scale) for key, (variant, data) in train.items()
    }
    table = Table(f"gpu_{arch}", f"Training {arch} on one GPU, batch {scale.batch} at {scale.size}^2", "images/s", 0)
    reference, cached = f"synthetic, {name}", f"pipeline, cache ram, {name}"
    table.claims = [
        Claim(f"pipeline, cache none, {name}", reference, at_least=0.9),
        Claim(cached, reference, at_least=0.9),
    ]
    table.notes = [f"{scale.workers} workers; the target without the cache is meant for 16 cores"]
    table.notes.append("float32 is torch's default: convolutions may use TF32")
    if rivals.available():
        runs |= _rivals(arch, n_classes, loaders["none"].source.root, batches, scale)
        table.claims += [
            Claim(reference, "fastai, synthetic", at_least=1),
            Claim(cached, "fastai, pipeline", at_least=1),
        ]
    else:
        table.notes.append(rivals.MISSING)
    cases = [Case(key, run, items=scale.batch * scale.steps) for key, run in runs.items()]
    table.measures = rates(cases, interleave(cases, repeats))
    return table


def _classifier(arch: str, n_classes: int, variant: Variant, **options: Any) -> Classifier:
    optimizer = partial(fastai_adamw, fused=variant.fused)
    module = ours.classifier(arch, n_classes, compile=variant.compile, optimizer=optimizer, **options)
    module.unfreeze()
    return module


def _data(root: Path, scale: Scale, cache: Cache) -> ImageDataModule:
    return ours.data_module(root, scale.batch, scale.presize, cache, scale.workers, scale.size)


def _synthetic(scale: Scale, n_classes: int) -> Sequence[tuple[Tensor, Tensor]]:
    pair = (
        torch.rand(scale.batch, 3, scale.size, scale.size, device=scale.device),
        torch.randint(n_classes, (scale.batch,), device=scale.device),
    )
    return [pair] * (scale.warm_up + scale.steps)


def _rivals(
    arch: str, n_classes: int, root: Path, batches: Sequence[tuple[Tensor, Tensor]], scale: Scale
) -> dict[str, Callable[[], float]]:
    files, device = sorted(root.glob("*.jpg")), scale.device
    photos = rivals.photo_learner(files, arch, scale.batch, num_workers=scale.workers, device=device)
    photos.unfreeze()
    learners = {
        "fastai, synthetic": rivals.learner(arch, batches, n_classes, frozen=False, device=device),
        "fastai, pipeline": photos,
    }

    def run(learn: Any) -> float:
        stopwatch = Stopwatch(scale)
        rivals.train_until(learn, stopwatch.step_ended)
        return stopwatch.seconds

    return {name: partial(run, learn.to_bf16()) for name, learn in learners.items()}
