"""What `trainer.precision=auto` stands for: on a CPU, what a few steps of the model that will train take."""

import copy
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import torch

from pets import machine
from pets.model.network import Network
from pets.schedule.recipe import Phase

FLOAT, BFLOAT = "32-true", "bf16-mixed"
GAIN = 0.95
"""Bfloat16, which rounds more, is chosen if its step takes at most this share of the time."""
IMAGES = 16
"""Images of a timed step at most: they keep all cores busy, and 64 would only take four times as long."""
STEPS = 3
"""Timed steps, after one that is not; the fastest counts, since whatever else the machine does only adds to it."""

SECONDS = 10.0
"""After so many no further step is timed: a large model, or a machine that others use, is slow enough to tell."""

log = logging.getLogger("pets")


class Work(NamedTuple):
    """What a step is like."""

    frozen: bool
    """Whether the head alone learns."""
    size: int
    """Side of the images in pixels."""


Clock = Callable[[Network, Work, int], Mapping[str, float]]


def faster(seconds: Mapping[str, float]) -> str:
    """Return the precision to train in, from the seconds of a step in 32-true and in bf16-mixed."""
    return BFLOAT if seconds[BFLOAT] <= GAIN * seconds[FLOAT] else FLOAT


def work_of(phases: Iterable[Phase], size: int) -> dict[Work, int]:
    """Return how many epochs of a recipe have which steps; a phase without a size has images of `size`."""
    epochs: dict[Work, int] = {}
    for phase in phases:
        work = Work(phase.frozen, phase.size or size)
        epochs[work] = epochs.get(work, 0) + phase.epochs
    return epochs


def choose(
    model: Network,
    work: Mapping[Work, int],
    *,
    batch_size: int,
    accelerator: str,
    alone: bool,
    clock: Clock | None = None,
) -> tuple[str, dict[str, float]]:
    """Return the precision that `auto` stands for, and the seconds of a step in each if that was decided by timing.

    Timed is on a CPU that multiplies bfloat16 natively: whether the whole step gains depends on the model, since
    depthwise convolutions do not. On a GPU that has it natively bfloat16 is taken as it is: there the matrix products
    are several times as fast, memory traffic is half, and the first steps would time the choice of kernels. Without
    native products it is float32. Nor are several processes timed, of which each would decide for itself.

    Args:
        model: What will train; it is not touched, nor are the random generators.
        work: What its steps are like, with the epochs of each.
        batch_size: Images of a step.
        accelerator: The Trainer's.
        alone: Whether a single process trains.
        clock: Times a step in both precisions; `step_seconds` if None.
    """
    by_hardware = machine.resolve_precision("auto", accelerator)
    if by_hardware == FLOAT or not machine.on_cpu(accelerator) or not alone:
        log.info(f"trainer.precision=auto: {by_hardware} here")
        return by_hardware, {}
    images, epochs = min(batch_size, IMAGES), sum(work.values())
    timed = {one: (clock or step_seconds)(model, one, images) for one in work}
    seconds = {name: sum(timed[one][name] * share for one, share in work.items()) / epochs for name in (FLOAT, BFLOAT)}
    chosen = faster(seconds)
    log.info(
        f"trainer.precision=auto: {chosen}; a step of {images} images takes "
        f"{seconds[FLOAT]:.3f} s in {FLOAT}, {seconds[BFLOAT]:.3f} s in {BFLOAT}"
    )
    return chosen, seconds


def step_seconds(model: Network, work: Work, images: int) -> dict[str, float]:
    """Time forward and backward of a copy of a model on images of noise, in turns in both precisions, on the CPU."""
    with torch.random.fork_rng(devices=[]):
        twin = copy.deepcopy(model).cpu()
        twin.freeze_to("head" if work.frozen else "early")
        twin.train()
        pixels = torch.rand(images, 3, work.size, work.size)
        targets = torch.arange(images) % len(twin.classes)
        seconds: dict[str, list[float]] = {FLOAT: [], BFLOAT: []}
        start = time.perf_counter()
        while len(seconds[FLOAT]) < 2 or (len(seconds[FLOAT]) <= STEPS and time.perf_counter() - start < SECONDS):
            for name, passed in seconds.items():
                twin.zero_grad()
                begun = time.perf_counter()
                # As Lightning's plugin does it, without a cache of the lowered weights.
                with torch.autocast("cpu", torch.bfloat16, enabled=name == BFLOAT, cache_enabled=False):
                    loss = twin.loss(twin(pixels), targets)
                loss.backward()
                passed.append(time.perf_counter() - begun)
    return {name: min(passed[1:]) for name, passed in seconds.items()}
