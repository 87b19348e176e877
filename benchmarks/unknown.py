"""How well a detector tells images of known classes from others: AUROC, report and picture."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pets.evaluation.figures.style import ACCENT, GRID, WRONG, styled
from pets.evaluation.intervals import Z95, Interval, wilson

Scores = tuple[NDArray[np.float32], NDArray[np.float32]]


def auroc(known: NDArray[np.float32], unknown: NDArray[np.float32]) -> Interval:
    """Return the probability that a known image scores above an unknown one, ties counted half, with its interval.

    Source of the interval: DeLong et al. (1988), Comparing the areas under two or more correlated ROC curves.

    Args:
        known: Scores (m,) of images of the classes, such as their highest probability.
        unknown: Scores (n,) of images of none of the classes.

    Raises:
        ValueError: If either holds fewer than 2 scores, which give no interval.
    """
    if min(len(known), len(unknown)) < 2:
        raise ValueError(f"auroc: at least 2 known and 2 unknown scores, got {len(known)} and {len(unknown)}")
    wins_of_known = _share_below(known, unknown)
    wins_of_unknown = _share_below(unknown, known)
    area = float(wins_of_known.mean())
    half = Z95 * float(np.sqrt(wins_of_known.var(ddof=1) / len(known) + wins_of_unknown.var(ddof=1) / len(unknown)))
    return Interval(area, max(0.0, area - half), min(1.0, area + half))


def detector_report(known: NDArray[np.float32], unknown: NDArray[np.float32], threshold: float) -> dict[str, Any]:
    """Return as plain values how well scores tell known images (m,) from unknown ones (n,).

    The shares of known images accepted and of unknown ones refused are those at the threshold, with 95% intervals.
    """
    accepted, refused = (
        wilson(int((known >= threshold).sum()), len(known)),
        wilson(int((unknown < threshold).sum()), len(unknown)),
    )
    return {
        "n_known": len(known),
        "n_unknown": len(unknown),
        "auroc": auroc(known, unknown)._asdict(),
        "threshold": threshold,
        "known_accepted": accepted._asdict(),
        "unknown_refused": refused._asdict(),
    }


def _share_below(scores: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return for each score the share of the others below it, equal ones counted half."""
    ordered = np.sort(others)
    return (np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")) / (2 * len(ordered))


@styled
def unknown_figure(detectors: Mapping[str, Scores]) -> Figure:
    """Draw histograms of the scores of known and unknown images, a panel a detector, with its AUROC.

    Args:
        detectors: Name of a detector to its scores of (known, unknown) images, (m,) and (n,).
    """
    figure = Figure(figsize=(4.2 * len(detectors), 3.2))
    panels = figure.subplots(1, len(detectors), sharey=True, squeeze=False)[0]
    for axes, (name, scores) in zip(panels, detectors.items(), strict=True):
        edges = np.histogram_bin_edges(np.concatenate(scores), 20)
        for values, label, colour in zip(scores, ("known", "unknown"), (ACCENT, WRONG), strict=True):
            weights = np.full(len(values), 1 / len(values))
            style = {"color": colour, "weights": weights, "label": f"{label} ({len(values)} images)"}
            axes.hist(values, edges, histtype="stepfilled", alpha=0.25, **style | {"label": None})
            axes.hist(values, edges, histtype="step", linewidth=1.4, **style)
        area, low, high = auroc(*scores)
        axes.set_title(f"{name}\nAUROC {area:.3f}, 95% interval {low:.3f} to {high:.3f}", fontsize=9)
        axes.set(xlim=(edges[0], edges[-1]), xlabel="score")
        axes.grid(axis="y", color=GRID)
    panels[0].set_ylabel("share of the images")
    panels[0].legend(loc="upper left")
    return figure
