"""The schedule of a run: the learning rate of each layer group, and the momentum."""

from collections.abc import Sequence
from typing import Any

from matplotlib import colormaps
from matplotlib.figure import Figure

from pets.evaluation.figures.style import GRID, INK, MUTED, SERIES, styled
from pets.schedule.one_cycle import one_cycle_lr, one_cycle_momentum, position
from pets.schedule.recipe import Recipe
from pets.settings.parts import GROUPS


@styled
def schedule_figure(
    recipe: Recipe, steps_per_epoch: int, max_steps: int = -1, groups: Sequence[str] = GROUPS
) -> Figure:
    """Draw learning rates and momentum at every step, one colour a layer group; a line parts the phases.

    Args:
        recipe: The phases.
        steps_per_epoch: Optimizer steps an epoch.
        max_steps: Steps after which the run ends, -1 for the end of the recipe.
        groups: Names of the layer groups.
    """
    steps = recipe.epochs * steps_per_epoch
    steps = steps if max_steps == -1 else min(steps, max_steps)
    places = [position(step, steps_per_epoch, recipe, max_steps) for step in range(steps)]
    figure = Figure(figsize=(5.2, 3.8))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    for group, colour in zip(groups, _colours(len(groups)), strict=True):
        phases = [recipe.phases[place.phase] for place in places]
        rates = [
            one_cycle_lr(at.t, phase.group_lrs(groups)[group], phase) for at, phase in zip(places, phases, strict=True)
        ]
        upper.plot(rates, color=colour, linewidth=1.8, label=group)
    lower.plot([one_cycle_momentum(at.t, recipe.phases[at.phase]) for at in places], color=INK, linewidth=1.5)
    for axes in (upper, lower):
        axes.grid(axis="y", color=GRID)
        for step, place in enumerate(places):
            if step and not place.step:
                axes.axvline(step, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
    upper.set(ylabel="learning rate")
    upper.set_title(f"Schedule of {len(places):,} steps")
    upper.legend(loc="best", ncols=1 + len(groups) // (len(SERIES) + 1))
    lower.set(xlabel="step", ylabel="momentum")
    return figure


def _colours(n: int) -> Sequence[Any]:
    """Return a colour for each layer group: more than can be told apart go from dark to light with their depth."""
    return SERIES[:n] if n <= len(SERIES) else [colormaps["viridis"](place / n) for place in range(n)]
