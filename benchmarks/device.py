"""How fast a device trains: the seconds of a fit's steps and, mark by mark, the parts of a step."""

import time
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import lightning
import torch

from benchmarks import ours
from pets.data.batch import Batch
from pets.data.datamodule import ImageDataModule
from pets.data.presize import Presize
from pets.machine import isolated
from pets.model.classifier import Classifier


@dataclass(frozen=True)
class Scale:
    """What is run, and how long."""

    device: str = "cuda"
    batch: int = 64
    size: int = 224
    presize: Presize = field(default_factory=Presize)
    workers: int = 0
    warm_up: int = 40
    """Steps before the clock starts: they compile, and use up what the workers have fetched ahead."""
    steps: int = 50


@dataclass(frozen=True)
class Variant:
    """How a step is computed."""

    precision: str = "bf16-mixed"
    compile: bool = True
    fused: bool | None = True


class Stopwatch:
    """Seconds from the end of the last warm-up step to the end of the last step, loading between them included."""

    def __init__(self, scale: Scale) -> None:
        self.scale = scale
        self.done = 0
        self.seconds = 0.0

    def step_ended(self) -> bool:
        """Count a step; return whether it was the last."""
        self.done += 1
        if self.done == self.scale.warm_up:
            self.start = self._now()
        if self.done == self.scale.warm_up + self.scale.steps:
            self.seconds = self._now() - self.start
        return self.seconds > 0

    def _now(self) -> float:
        if self.scale.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


class _Watch(lightning.Callback):
    def __init__(self, stopwatch: Stopwatch) -> None:
        self.stopwatch = stopwatch

    def on_train_batch_end(self, *_: object) -> None:
        self.stopwatch.step_ended()


def fit_seconds(module: Classifier, data: Any, variant: Variant, scale: Scale) -> float:
    """Train on a loader or a data module; return the seconds of the steps that count."""
    stopwatch = Stopwatch(scale)
    with isolated():
        ours.quiet_trainer(
            variant.precision,
            [_Watch(stopwatch)],
            accelerator=scale.device,
            limit_train_batches=scale.warm_up + scale.steps,
            limit_val_batches=0,
        ).fit(module, data)
    return stopwatch.seconds


def transform_share(module: Classifier, data: ImageDataModule, variant: Variant, scale: Scale) -> float:
    """Return the median share of the batch transform in a step from a uint8 batch on the device to the update."""
    module.to(scale.device).train()
    if module.compiled:
        module.backbone.compile()
    optimizer = module.configure_optimizers()
    raw = Batch(*(field.to(scale.device) for field in ours.first_batch(data)))
    marks = []
    for _ in range(scale.warm_up + scale.steps):
        start = _mark(scale.device)
        batch = data.augment(raw)
        transformed = _mark(scale.device)
        with torch.autocast(scale.device, torch.bfloat16, enabled=variant.precision == "bf16-mixed"):
            loss = module.loss(module(batch.images), batch.targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        marks.append((start, transformed, _mark(scale.device)))
    if scale.device == "cuda":
        torch.cuda.synchronize()
    return median(_between(*mark[:2]) / _between(mark[0], mark[2]) for mark in marks[scale.warm_up :])


def _mark(device: str) -> Any:
    if device != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    event.record()
    return event


def _between(start: Any, end: Any) -> float:
    """Return the time between two marks, in milliseconds of the device or seconds of the clock."""
    return float(end - start if isinstance(start, float) else start.elapsed_time(end))
