"""From predictions to confused classes, images with the largest losses, and labels that are probably wrong."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pets.evaluation.predictions import Predictions


class Confusion(NamedTuple):
    """How many images of one class were taken for another."""

    actual: str
    predicted: str
    n: int


class ConfusedPair(NamedTuple):
    """Two classes and how often either was taken for the other."""

    first: str
    second: str
    n: int
    first_as_second: int
    second_as_first: int


class Suspect(NamedTuple):
    """A doubted image. Its table, edited, is what `data.relabel` reads: columns `file` and `label`."""

    file: str
    label: str
    """What the classifier says, and `data.relabel` would make of it."""
    actual: str
    """The label that it has."""
    p_label: float
    p_actual: float
    loss: float


def confusion_matrix(predictions: Predictions) -> NDArray[np.int64]:
    """Return int64 (C, C) counts; rows are actual classes, columns predicted ones."""
    n_classes = len(predictions.classes)
    # torchmetrics' would, under deterministic algorithms, compare each image with each of the C x C cells.
    cells = predictions.targets * n_classes + predictions.predicted
    return np.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes)


def normalise_rows(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return float64 (C, C) shares of each actual class; the row of a class without images is 0."""
    shares: NDArray[np.float64] = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    return shares


def most_confused(matrix: NDArray[np.int64], classes: Sequence[str], min_val: int = 1) -> list[Confusion]:
    """Return the off-diagonal cells of at least `min_val` (1 or more), largest first, ties in row-major order.

    Source: fastai's ClassificationInterpretation.most_confused.
    """
    cells = _largest_cells(matrix - np.diag(matrix.diagonal()), min_val)
    return [Confusion(classes[row], classes[column], int(matrix[row, column])) for row, column in cells]


def most_confused_pairs(matrix: NDArray[np.int64], classes: Sequence[str], min_val: int = 1) -> list[ConfusedPair]:
    """Return the pairs confused at least `min_val` times in both directions together, ordered as `most_confused`."""
    counts = matrix + matrix.T
    return [
        ConfusedPair(classes[a], classes[b], int(counts[a, b]), int(matrix[a, b]), int(matrix[b, a]))
        for a, b in _largest_cells(np.triu(counts, k=1), min_val)
    ]


def _largest_cells(counts: NDArray[np.int64], min_val: int) -> list[tuple[int, int]]:
    order = np.argsort(-counts, axis=None, kind="stable")[: np.count_nonzero(counts >= max(min_val, 1))]
    rows, columns = np.unravel_index(order, counts.shape)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def cluster_order(matrix: NDArray[np.int64]) -> NDArray[np.int64]:
    """Order the classes so that confused ones stand together.

    Chains of classes are joined by average linkage on the confusion in both directions, each join placing the most
    confused ends side by side. Larger groups come first; classes that were never confused keep their order at the end.

    Returns:
        int64 (C,) permutation of the class indices.
    """
    links = normalise_rows(matrix)
    links = links + links.T
    np.fill_diagonal(links, 0.0)
    chains = [[index] for index in range(len(matrix))]
    between = links.copy()  # mean link between chains; the row of a chain that was absorbed is 0
    while between.size and between.max() > 0:
        a, b = np.unravel_index(between.argmax(), between.shape)
        sizes = len(chains[a]), len(chains[b])
        merged = (between[a] * sizes[0] + between[b] * sizes[1]) / sum(sizes)
        merged[[a, b]] = 0.0
        between[a], between[:, a] = merged, merged
        between[b], between[:, b] = 0.0, 0.0
        chains[a], chains[b] = _join(chains[a], chains[b], links), []
    return np.array([index for chain in sorted(chains, key=len, reverse=True) for index in chain], dtype=np.int64)


def _join(left: list[int], right: list[int], links: NDArray[np.float64]) -> list[int]:
    """Concatenate two chains, each turned so that the ends that meet are as confused as possible."""
    turns = [(a, b) for a in (left, left[::-1]) for b in (right, right[::-1])]
    a, b = max(turns, key=lambda turn: links[turn[0][-1], turn[1][0]])
    return a + b


def top_losses(predictions: Predictions, k: int, mistakes: bool = False) -> NDArray[np.int64]:
    """Return int64 (min(k, n),) rows of the predictions, largest loss first, ties in their order.

    With `mistakes` only rows whose class is wrong. Source: fastai's Interpretation.top_losses.
    """
    order = np.argsort(-predictions.losses, kind="stable")
    return order[~predictions.correct[order]][:k] if mistakes else order[:k]


def suspects(predictions: Predictions, confidence: float) -> list[Suspect]:
    """Return the images whose label the classifier contradicts with at least this probability, largest loss first."""
    doubted = np.flatnonzero(~predictions.correct & (predictions.confidence >= confidence))
    order = doubted[np.argsort(-predictions.losses[doubted], kind="stable")]
    return [
        Suspect(
            str(predictions.files[row]),
            predictions.classes[predictions.predicted[row]],
            predictions.classes[predictions.targets[row]],
            round(float(predictions.confidence[row]), 4),
            round(float(predictions.p_actual[row]), 4),
            round(float(predictions.losses[row]), 4),
        )
        for row in order.tolist()
    ]
