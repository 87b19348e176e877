"""The one-cycle schedule as pure functions of a position: nothing to save, nothing to restore."""

import math
from typing import NamedTuple

from pets.schedule.recipe import Phase, Recipe


def cosine(start: float, end: float, t: float) -> float:
    """Return the value at `t` in [0, 1] of half a cosine wave from `start` to `end` (fastai's `SchedCos`)."""
    return start + (1 + math.cos(math.pi * (1 - t))) * (end - start) / 2


def _up_and_down(t: float, pct_start: float, start: float, peak: float, end: float) -> float:
    if t < pct_start:
        return cosine(start, peak, t / pct_start)
    return cosine(peak, end, (t - pct_start) / (1 - pct_start))


def one_cycle_lr(t: float, peak: float, phase: Phase) -> float:
    """Return the learning rate at `t` in [0, 1) of a phase, for a group that peaks at `peak` (fastai's one-cycle)."""
    return _up_and_down(t, phase.pct_start, peak / phase.div, peak, peak / phase.div_final)


def one_cycle_momentum(t: float, phase: Phase) -> float:
    """Return the momentum (Adam's beta1) at `t` in [0, 1) of a phase."""
    start, peak, end = phase.momenta
    return _up_and_down(t, phase.pct_start, start, peak, end)


class Position(NamedTuple):
    """Where an optimizer step stands in a recipe."""

    phase: int
    """Index of the phase."""
    step: int
    """The step in the phase, from 0."""
    steps: int
    """All steps of the phase."""

    @property
    def t(self) -> float:
        """Share of the phase done before the step: 0 at its first, 1 - 1/steps at its last, as in fastai."""
        return self.step / self.steps


def position(step: int, steps_per_epoch: int, recipe: Recipe, max_steps: int = -1) -> Position:
    """Return the position of an optimizer step.

    Args:
        step: The step in the run, from 0.
        steps_per_epoch: Optimizer steps an epoch: ceil(batches / batches accumulated).
        recipe: The phases.
        max_steps: Steps after which the run ends, -1 for the end of the recipe. The phase it falls into gets shorter,
            so that its cycle completes.

    Raises:
        ValueError: If the run has no such step.
    """
    first = 0
    for index, phase in enumerate(recipe.phases):
        last = first + phase.epochs * steps_per_epoch
        if max_steps != -1:
            last = min(last, max_steps)
        if first <= step < last:
            return Position(index, step - first, last - first)
        first = last
    raise ValueError(f"step {step} is not in the run, which has {first} steps")
