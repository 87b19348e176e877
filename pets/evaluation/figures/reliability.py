"""Confidence against accuracy, and how many predictions stand behind each point."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pets.evaluation.figures.style import ACCENT, GRID, INK, MUTED, styled
from pets.evaluation.intervals import wilson
from pets.model.metrics import Bin, expected_calibration_error


@styled
def reliability_figure(bins: list[Bin]) -> Figure:
    """Draw the accuracy of each bin at its mean confidence with its 95% interval, over a histogram of the counts."""
    figure = Figure(figsize=(4.8, 5.6))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    _draw_diagram(upper, bins)
    _draw_counts(lower, bins)
    figure.legend(*upper.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    upper.set_title(f"Reliability of {sum(b.n for b in bins)} predictions, ECE {expected_calibration_error(bins):.3f}")
    return figure


def _draw_diagram(axes: Axes, bins: list[Bin]) -> None:
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label="perfectly calibrated")
    for b in bins:
        if b.confidence is None:
            continue
        share, low, high = wilson(b.correct, b.n)
        axes.plot([b.confidence, b.confidence], [b.confidence, share], color=ACCENT, linewidth=5, alpha=0.2)
        axes.plot([b.confidence, b.confidence], [low, high], color=ACCENT, linewidth=1.2)
        axes.plot(b.confidence, share, "o", color=ACCENT, markersize=5, clip_on=False)  # certainty is at the edge
    axes.plot([], [], "o-", color=ACCENT, markersize=5, linewidth=1.2, label="accuracy of a bin, 95% interval")
    axes.set(xlim=(0, 1), ylim=(-0.02, 1.02), ylabel="accuracy")
    axes.grid(color=GRID)


def _draw_counts(axes: Axes, bins: list[Bin]) -> None:
    left, width, counts = [b.low for b in bins], bins[0].high - bins[0].low, [b.n for b in bins]
    n = sum(counts)
    confidence = sum(b.n * b.confidence for b in bins if b.confidence is not None) / n
    accuracy = sum(b.correct for b in bins) / n
    axes.bar(left, counts, width, align="edge", color=ACCENT, alpha=0.25, edgecolor="white")
    axes.axvline(confidence, color=ACCENT, linewidth=1.2, label=f"mean confidence {confidence:.1%}")
    axes.axvline(accuracy, color=INK, linewidth=1.2, linestyle=(0, (4, 3)), label=f"accuracy {accuracy:.1%}")
    axes.set(xlabel="confidence (probability of the predicted class)", ylabel="images")
    axes.legend(loc="best")
