"""The curve of an LR range test, with the suggestions marked."""

import textwrap
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from pets.evaluation.figures.style import ACCENT, GRID, INK, MUTED, SERIES, styled
from pets.schedule.lr_range import LRCurve, label

TITLE_WIDTH = 54
"""Characters in a line of the title."""
NEIGHBOURS = 4
"""Steps on either side of a point that its mean takes in."""


@styled
def lr_curve_figure(curve: LRCurve) -> Figure:
    """Draw the loss against the learning rate on a log axis, each suggestion a labelled mark.

    The line is the mean of neighbouring steps and runs through the points. The average that the rules read, of all
    steps before, trails behind them; it is drawn beside the line, so that nobody wonders.
    """
    figure = Figure(figsize=(5.6, 3.8))
    axes = figure.add_subplot()
    axes.set(xscale="log", xlabel="learning rate of the head", ylabel="training loss")
    axes.xaxis.set_major_formatter("{x:.0e}")  # Matplotlib's own writes formulas
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y", color=GRID)
    verdict = "" if curve.reliable else f"no reliable suggestion: {curve.doubt}"
    told = [f"LR range test, {curve.batch_size} images a step"] if curve.reliable else ["LR range test"]
    axes.set_title("\n".join([*told, *textwrap.wrap(verdict, TITLE_WIDTH)]))
    if curve.losses:
        line = centred_mean(curve.losses)
        axes.plot(curve.lrs, curve.losses, ".", color=MUTED, alpha=0.6, markersize=4, markeredgewidth=0, label="a step")
        axes.plot(curve.lrs, line, color=ACCENT, linewidth=2, label="mean of neighbours")
        axes.plot(
            curve.lrs, curve.smoothed, color=MUTED, linewidth=1, linestyle=(0, (2, 2)), label="mean of all before"
        )
        low, first = min(line), curve.smoothed[0]
        span = max(first - low, 0.1 * abs(first))
        axes.set_ylim(low - 0.2 * span, low + 1.8 * span)
        _mark(axes, curve, line, top=low + 1.68 * span, drop=0.17 * span)
        figure.legend(loc="outside lower center", ncols=3)
    return figure


def centred_mean(losses: Sequence[float]) -> list[float]:
    """Return the mean of each loss and as many neighbours on either side: at most `NEIGHBOURS`, none at the ends."""
    means = []
    for i in range(len(losses)):
        reach = min(i, len(losses) - 1 - i, NEIGHBOURS)
        means.append(fmean(losses[i - reach : i + reach + 1]))
    return means


def _mark(axes: Axes, curve: LRCurve, line: Sequence[float], top: float, drop: float) -> None:
    """Mark the suggestions from left to right, each label lower than the one before, so that no two meet."""
    colours = dict(zip(curve.suggestions, SERIES[1:], strict=False))
    for rank, (name, lr) in enumerate(sorted(curve.suggestions.items(), key=lambda item: item[1])):
        loss = float(np.interp(np.log(lr), np.log(curve.lrs), line))
        height = top - rank * drop
        axes.plot([lr, lr], [loss, height], color=colours[name], linewidth=0.9)
        fill = colours[name] if curve.reliable else "white"
        axes.plot(lr, loss, "o", color=colours[name], markerfacecolor=fill, markersize=7, zorder=3)
        text = f"{label(name)}  {lr:.1e}"
        how: Any = {"textcoords": "offset points", "va": "center", "color": INK, "fontsize": 8.5}
        behind = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
        axes.annotate(text, (lr, height), (5, 0), bbox=behind, **how)
