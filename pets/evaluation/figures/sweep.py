"""The error of a sweep's jobs, with intervals, against the setting that varied."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pets.evaluation.figures.style import ACCENT, GRID, INK, styled
from pets.evaluation.intervals import Interval

WIDE = 20.0
"""Ratio of the largest to the smallest setting from which on the axis is logarithmic."""
TITLE = 60
"""Characters of a line of the title."""
ROW = 0.24
"""Height of a setting that is a word, in inches."""


@styled
def sweep_figure(errors: Mapping[str, Sequence[Interval]], varied: str, part: str = "valid") -> Figure:
    """Draw the error rate of each job with its 95% interval against its setting.

    Settings that are numbers, three or more, are an axis; others are rows, the lowest error first. Jobs that share a
    setting are its repeats, and a line marks their mean.

    Args:
        errors: By setting, at least one: the error rates of its jobs, at least one each.
        varied: What the settings are, such as `recipe.base_lr`.
        part: What the error is measured on.
    """
    numbers = _numbers(errors)
    return _against_numbers(errors, numbers, varied, part) if len(numbers) > 2 else _as_rows(errors, varied, part)


def _numbers(settings: Mapping[str, object]) -> list[float]:
    try:
        return [float(setting) for setting in settings]
    except ValueError:
        return []


def _against_numbers(
    errors: Mapping[str, Sequence[Interval]], numbers: Sequence[float], varied: str, part: str
) -> Figure:
    figure = Figure(figsize=(5.6, 3.6))
    axes = figure.add_subplot()
    if min(numbers) > 0 and max(numbers) / min(numbers) >= WIDE:
        axes.set_xscale("log")
    means = {}
    for x, rates in zip(numbers, errors.values(), strict=True):
        means[x] = 100 * fmean(rate.value for rate in rates)
        for rate in rates:
            axes.plot([x, x], [100 * rate.low, 100 * rate.high], color=ACCENT, alpha=0.35, linewidth=3)
            axes.plot(x, 100 * rate.value, "o", color=ACCENT, markersize=5, zorder=3)
    axes.plot(sorted(means), [means[x] for x in sorted(means)], color=ACCENT, linewidth=1, label="mean of a setting")
    axes.set_xticks(numbers, list(errors))
    axes.minorticks_off()
    axes.set(xlabel=varied, ylabel=f"error on {part}, %")
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color=GRID)
    _finish(figure, axes, errors)
    return figure


def _as_rows(errors: Mapping[str, Sequence[Interval]], varied: str, part: str) -> Figure:
    best_first = sorted(errors, key=lambda setting: fmean(rate.value for rate in errors[setting]))
    figure = Figure(figsize=(6.4, ROW * sum(map(len, errors.values())) + 1.2))
    axes = figure.add_subplot()
    places, row = [], 0
    for setting in best_first:
        rates = sorted(errors[setting], key=lambda rate: rate.value)
        places.append(row + (len(rates) - 1) / 2)
        mean = 100 * fmean(rate.value for rate in rates)
        axes.plot([mean, mean], [row - 0.4, row + len(rates) - 0.6], color=INK, linewidth=1)
        for rate in rates:
            axes.plot([100 * rate.low, 100 * rate.high], [row, row], color=ACCENT, alpha=0.35, linewidth=3)
            axes.plot(100 * rate.value, row, "o", color=ACCENT, markersize=5, zorder=3)
            row += 1
    axes.plot([], [], color=INK, linewidth=1, label="mean of a setting")
    axes.set_yticks(places, best_first)
    axes.set(xlabel=f"error on {part}, %", ylim=(row - 0.4, -0.6))
    axes.set_xlim(left=0)
    axes.grid(axis="x", color=GRID)
    axes.tick_params(axis="y", length=0)
    _finish(figure, axes, errors, f"by {varied}")
    return figure


def _finish(figure: Figure, axes: Axes, errors: Mapping[str, Sequence[Interval]], by: str = "") -> None:
    jobs = sum(map(len, errors.values()))
    axes.plot([], [], "o-", color=ACCENT, markersize=5, linewidth=2, label="a job, 95% interval")
    axes.set_title(fill(f"Error of {jobs} jobs {by}", TITLE))
    handles, labels = axes.get_legend_handles_labels()
    keep = slice(None) if jobs > len(errors) else slice(-1, None)  # means say nothing without repeats
    figure.legend(handles[keep], labels[keep], loc="outside lower right", ncols=2)
