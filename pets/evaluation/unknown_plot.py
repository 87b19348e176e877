"""How far apart known and unknown images score, one detector beside another."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pets.evaluation.figure_style import ACCENT, GRID, WRONG, styled
from pets.evaluation.unknown import auroc

Scores = tuple[NDArray[np.float32], NDArray[np.float32]]


@styled
def unknown_figure(detectors: Mapping[str, Scores]) -> Figure:
    """Draw histograms of the scores of known and unknown images, a panel a detector, with its AUROC.

    Args:
        detectors: Name of a detector to its scores in [0, 1] of (known, unknown) images, (m,) and (n,).
    """
    figure = Figure(figsize=(4.2 * len(detectors), 3.2))
    panels = figure.subplots(1, len(detectors), sharey=True, squeeze=False)[0]
    edges = np.linspace(0, 1, 21)
    for axes, (name, scores) in zip(panels, detectors.items(), strict=True):
        for values, label, colour in zip(scores, ("known", "unknown"), (ACCENT, WRONG), strict=True):
            weights = np.full(len(values), 1 / len(values))
            style = {"color": colour, "weights": weights, "label": f"{label} ({len(values)} images)"}
            axes.hist(values, edges, histtype="stepfilled", alpha=0.25, **style | {"label": None})
            axes.hist(values, edges, histtype="step", linewidth=1.4, **style)
        area, low, high = auroc(*scores)
        axes.set_title(f"{name}\nAUROC {area:.3f}, 95% interval {low:.3f} to {high:.3f}", fontsize=9)
        axes.set(xlim=(0, 1), xlabel="highest probability")
        axes.grid(axis="y", color=GRID)
    panels[0].set_ylabel("share of the images")
    panels[0].legend(loc="upper left")
    return figure
