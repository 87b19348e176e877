"""Which classes fail: recall with intervals, and precision against recall."""

from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.classification import binary_average_precision, binary_precision_recall_curve

from pets.evaluation.figures.style import ACCENT, GRID, INK, SERIES, styled
from pets.evaluation.predictions import Predictions

FEWEST = 10
"""Images of a class from which on a precision-recall curve says something."""


@styled
def recall_figure(report: dict[str, Any]) -> Figure:
    """Draw the recall of each class of a `report` with its 95% interval, worst first, of classes with images."""
    classes = {name: metrics for name, metrics in report["classes"].items() if metrics["n"]}
    worst_first = sorted(classes, key=lambda name: (classes[name]["recall"], -classes[name]["n"]))
    figure = Figure(figsize=(6.4, 0.21 * len(worst_first) + 1.2))
    axes = figure.add_subplot()
    for row, name in enumerate(worst_first):
        low, high = classes[name]["recall_interval"]
        axes.plot([low, high], [row, row], color=ACCENT, alpha=0.35, linewidth=3, solid_capstyle="butt")
        axes.plot(classes[name]["recall"], row, "o", color=ACCENT, markersize=5, clip_on=False, zorder=3)
    mean = report["accuracy"]["macro"]
    axes.axvline(mean, color=INK, linewidth=1, linestyle=(0, (4, 3)), label=f"mean of the classes {mean:.1%}")
    axes.set_yticks(range(len(worst_first)), [f"{name} ({classes[name]['n']})" for name in worst_first])
    axes.set(xlim=(0, 1), ylim=(len(worst_first) - 0.4, -0.6), xlabel="recall, 95% interval")
    axes.set_title("Recall by class, worst first (images)")
    axes.grid(axis="x", color=GRID)
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside lower right")
    return figure


@styled
def precision_recall_figure(predictions: Predictions, k: int = 6) -> Figure:
    """Draw precision against recall, class against rest, for the `worst_classes`, of which there is at least one."""
    probabilities, targets = torch.from_numpy(predictions.probabilities), torch.from_numpy(predictions.targets)
    worst = worst_classes(predictions, min(k, len(SERIES)))
    figure = Figure(figsize=(7.8, 4.4))
    axes = figure.add_subplot()
    for colour, (c, average) in zip(SERIES, worst.items(), strict=False):
        precision, recall = _steps(probabilities[:, c], targets == c)
        label = f"{average:.2f}  {predictions.classes[c]} ({int((targets == c).sum())})"
        axes.step(recall, precision, where="post", color=colour, linewidth=1.6, label=label)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.05), xlabel="recall", ylabel="precision")
    axes.set_title(f"Precision and recall of the {len(worst)} worst classes")
    axes.grid(color=GRID)
    figure.legend(loc="outside right upper", title="average precision (images)", alignment="left")
    return figure


def worst_classes(predictions: Predictions, k: int) -> dict[int, float]:
    """Return the k classes of lowest average precision, class against rest, worst first: index to average precision.

    Classes of fewer than `FEWEST` images are left out: their curves are a step or two.
    """
    probabilities, targets = torch.from_numpy(predictions.probabilities), torch.from_numpy(predictions.targets)
    present = np.flatnonzero(np.bincount(predictions.targets) >= FEWEST).tolist()
    average = {c: float(binary_average_precision(probabilities[:, c], (targets == c).long())) for c in present}
    return dict(sorted(average.items(), key=lambda entry: entry[1])[:k])


def _steps(scores: Tensor, positive: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the best precision at each recall reached; recall falls to 0, each precision holds down to the next."""
    precision, recall, _ = binary_precision_recall_curve(scores, positive.long())
    reached = recall[:-1] > recall[1:]
    recall, precision = recall[:-1][reached], precision[:-1][reached]
    return np.append(precision, precision[-1]), np.append(recall, 0.0)
