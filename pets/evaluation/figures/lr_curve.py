"""The curve of an LR range test, with the suggestions marked."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from pets.evaluation.figures.style import ACCENT, GRID, INK, MUTED, SERIES, styled
from pets.schedule.lr_range import LRCurve


@styled
def lr_curve_figure(curve: LRCurve) -> Figure:
    """Draw the loss against the learning rate on a log axis, each suggestion a labelled mark on the smoothed curve."""
    figure = Figure(figsize=(7.5, 4.2))
    axes = figure.add_subplot()
    axes.set(xscale="log", xlabel="learning rate of the head", ylabel="training loss")
    axes.xaxis.set_major_formatter("{x:.0e}")  # Matplotlib's own writes formulas
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y", color=GRID)
    verdict = "" if curve.reliable else f"no reliable suggestion: {curve.doubt}"
    axes.set_title("LR range test" + (f"\n{verdict}" if verdict else f", {curve.batch_size} images a step"))
    if curve.losses:
        axes.plot(curve.lrs, curve.losses, ".", color=MUTED, alpha=0.45, markersize=4, markeredgewidth=0)
        axes.plot(curve.lrs, curve.smoothed, color=ACCENT, linewidth=2)
        low, first = min(curve.losses), curve.smoothed[0]
        span = max(first - low, 0.1 * abs(first))
        axes.set_ylim(low - 0.12 * span, low + 1.4 * span)
        _mark(axes, curve, top=low + 1.28 * span, drop=0.13 * span)
    return figure


def _mark(axes: Axes, curve: LRCurve, top: float, drop: float) -> None:
    """Mark the suggestions from left to right, each label lower than the one before, so that no two meet."""
    colours = dict(zip(curve.suggestions, SERIES[1:], strict=False))
    for rank, (name, lr) in enumerate(sorted(curve.suggestions.items(), key=lambda item: item[1])):
        loss = float(np.interp(np.log(lr), np.log(curve.lrs), curve.smoothed))
        height = top - rank * drop
        axes.plot([lr, lr], [loss, height], color=colours[name], linewidth=0.9)
        fill = colours[name] if curve.reliable else "white"
        axes.plot(lr, loss, "o", color=colours[name], markerfacecolor=fill, markersize=7, zorder=3)
        label = f"{'minimum / 10' if name == 'minimum' else name}  {lr:.1e}"
        axes.annotate(label, (lr, height), (5, 0), textcoords="offset points", va="center", color=INK, fontsize=8.5)
