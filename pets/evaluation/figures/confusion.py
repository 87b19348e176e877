"""The confusion matrix as a picture that can be read with 37 classes."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from pets.evaluation.figures.style import GRID, INK, MUTED, styled
from pets.evaluation.interpretation import cluster_order, normalise_rows
from pets.evaluation.intervals import wilson

CELL, SMALLEST, LARGEST = 0.29, 3.4, 24.0
"""Side of a cell, and of the whole matrix at least and at most, in inches."""


@styled
def confusion_figure(
    matrix: NDArray[np.int64], classes: Sequence[str], normalise: bool = False, clustered: bool = False
) -> Figure:
    """Draw a confusion matrix, rows actual and columns predicted; cells of 0 stay empty.

    Correct predictions are blue by their share of the row. Confusions are orange and have a scale of their own, up to
    the largest of them: next to the diagonal's numbers they would all look like 0.

    Args:
        matrix: int64 (C, C) counts.
        classes: C names.
        normalise: Show per cent of the actual class instead of counts.
        clustered: Order the classes so that confused ones stand together, instead of as given.
    """
    order = cluster_order(matrix) if clustered else np.arange(len(matrix))
    names, matrix = [classes[index] for index in order], matrix[np.ix_(order, order)]
    side = min(max(CELL * len(names), SMALLEST), LARGEST)
    cell = side / len(names)
    longest = 0.08 * max(map(len, names))
    margin = longest + 1.5
    figure = Figure(figsize=(side + margin, side + margin))
    axes = figure.add_subplot()
    axes.imshow(_colours(matrix, normalise))
    _annotate(axes, matrix, normalise, font=min(8.0, 26 * cell))
    _label(axes, names, matrix.sum(axis=1).tolist(), font=min(8.0, 46 * cell), upright=longest > cell)
    axes.set_xlabel("predicted")
    axes.set_ylabel("actual (images)")
    axes.set_title(_title(matrix, normalise))
    of = "% of the class" if normalise else "images"
    patches = [Patch(color=colormaps["Blues"](0.6), label="right: darker for more of the class")]
    patches.append(Patch(color=colormaps["Oranges"](0.65), label=f"wrong: darker for more {of}"))
    figure.legend(handles=patches, loc="outside lower left", ncols=1)
    return figure


def _title(matrix: NDArray[np.int64], normalise: bool) -> str:
    n, right = int(matrix.sum()), int(matrix.trace())
    error = wilson(n - right, n)
    cells = "cells in % of the actual class" if normalise else "cells in images"
    return (
        f"{n - right} of {n} wrong, {cells}\nerror {error.value:.1%}, 95% interval {error.low:.1%} to {error.high:.1%}"
    )


def _colours(matrix: NDArray[np.int64], normalise: bool) -> NDArray[np.float64]:
    """Return (C, C, 4) colours: blue on the diagonal, orange beside it, white where nothing was counted."""
    shares = normalise_rows(matrix)
    values = shares if normalise else matrix.astype(np.float64)
    confusions = values - np.diag(values.diagonal())
    colours = colormaps["Oranges"](0.15 + 0.5 * confusions / max(confusions.max(), 1e-12))
    diagonal = np.arange(len(matrix))
    colours[diagonal, diagonal] = colormaps["Blues"](0.1 + 0.5 * shares.diagonal())
    colours[matrix == 0] = 1.0
    return np.asarray(colours)


def _annotate(axes: Axes, matrix: NDArray[np.int64], normalise: bool, font: float) -> None:
    texts = np.char.mod("%.0f", 100 * normalise_rows(matrix)) if normalise else matrix.astype(str)
    for row, column in np.argwhere(matrix):
        axes.text(column, row, texts[row, column], ha="center", va="center", fontsize=font, color=INK)


def _label(axes: Axes, names: Sequence[str], counts: Sequence[int], font: float, upright: bool) -> None:
    places = range(len(names))
    axes.set_xticks(places, names, rotation=90 if upright else 0, fontsize=font)
    axes.set_yticks(places, [f"{name} ({n})" for name, n in zip(names, counts, strict=True)], fontsize=font)
    axes.set_xticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color=GRID, linewidth=0.5)
    axes.tick_params(which="both", length=0)
    for spine in axes.spines.values():
        spine.set(visible=True, color=MUTED)
