"""The error against the number of training images, and what is expected of twice as many."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from pets.evaluation.figures.style import ACCENT, GRID, INK, MUTED, WRONG, styled
from pets.evaluation.learning_curve import Curve, Forecast, PowerLaw


@styled
def learning_curve_figure(curve: Curve, law: PowerLaw, expected: Forecast) -> Figure:
    """Draw the error of every repeat and their mean, the fitted power law with its 90% band, and the forecast."""
    figure = Figure(figsize=(5.6, 3.8))
    axes = figure.add_subplot()
    repeats, n = curve.wrong.shape[1:]
    twice = 2 * law.measured
    dense = np.geomspace(curve.sizes[0], twice, 60)
    low, middle, high = np.quantile([law.errors(size) for size in dense], [0.05, 0.5, 0.95], axis=1)
    axes.fill_between(dense, 100 * low, 100 * high, color=ACCENT, alpha=0.15, linewidth=0)
    axes.plot(dense, 100 * middle, color=ACCENT, label="power law with an offset, 90%")
    for repeat, errors in enumerate(100 * curve.errors.T):
        label = None if repeat else f"measured, {repeats} repeat{'' if repeats == 1 else 's'}"
        axes.plot(curve.sizes, errors, ".", color=MUTED, markersize=4, alpha=0.6, label=label)
    axes.plot(curve.sizes, 100 * curve.errors.mean(axis=1), "o", color=INK, markersize=5, label="their mean")
    reach = [[100 * (expected.value - expected.low)], [100 * (expected.high - expected.value)]]
    axes.errorbar(
        twice, 100 * expected.value, yerr=reach, fmt="D", color=WRONG, capsize=4, markersize=6,
        label="forecast, 90%",
    )  # fmt: skip
    axes.set_xscale("log")
    sizes = [*curve.sizes, twice]
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color=GRID)
    axes.set(xlabel="training images", ylabel=f"error on {n:,} validation images, %")
    axes.set_title(f"{twice:,} images: {expected.value:.1%} ({expected.low:.1%} to {expected.high:.1%})")
    figure.legend(loc="outside lower center", ncols=2)
    return figure
