"""What an evaluation writes: tables and pictures in a folder, a few lines on the console."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from pets.console import path_text
from pets.evaluation.evaluate import Evaluation, Options
from pets.evaluation.figures.classes import precision_recall_figure, recall_figure, worst_classes
from pets.evaluation.figures.confusion import confusion_figure
from pets.evaluation.figures.grids import top_losses_figure
from pets.evaluation.figures.reliability import reliability_figure
from pets.evaluation.figures.style import write_figure
from pets.evaluation.gradcam import gradcam
from pets.evaluation.interpretation import (
    ConfusedPair,
    Confusion,
    confusion_matrix,
    most_confused,
    most_confused_pairs,
    top_losses,
)
from pets.evaluation.predictions import CSV_NAME, NPZ_NAME, Predictions, evaluation_images
from pets.files import or_warn, own_folder, write_csv, write_text
from pets.model.metrics import Bin

if TYPE_CHECKING:
    from pets.data.datamodule import ImageDataModule
    from pets.model.classifier import Classifier

THUMBNAILS = 3
"""Top losses in the small picture for loggers, whose captions can be read at the size of a thumbnail."""
SHOWN = 5
"""Confusions on the console."""


def save(
    evaluation: Evaluation, classifier: Classifier, data: ImageDataModule, options: Options, folder: Path
) -> dict[str, Figure]:
    """Write predictions.npz and .csv, report.json, most_confused.csv, most_confused_pairs.csv and the figures.

    What fails is left out with a warning that names the file. Only the top losses open images again.

    Returns:
        The figures that were written, by name.
    """
    own_folder(folder)
    predictions, written = evaluation.predictions, {}
    matrix = confusion_matrix(predictions)
    classes = predictions.classes
    pairs = most_confused_pairs(matrix, classes)
    bins = [Bin(**entry) for entry in evaluation.report["calibration"]["bins"]]
    tables: dict[str, Callable[[Path], None]] = {
        NPZ_NAME: predictions.write_npz,
        CSV_NAME: predictions.write_csv,
        "report.json": lambda path: write_text(path, json.dumps(evaluation.report, indent=1) + "\n"),
        "most_confused.csv": lambda path: write_csv(path, Confusion._fields, most_confused(matrix, classes)),
        "most_confused_pairs.csv": lambda path: write_csv(path, ConfusedPair._fields, pairs),
    }
    figures: dict[str, Callable[[], Figure | None]] = {
        "confusion": lambda: confusion_figure(matrix, classes, clustered=options.cluster),
        "confusion_normalised": lambda: confusion_figure(matrix, classes, normalise=True, clustered=options.cluster),
        "top_losses": lambda: _draw_top_losses(predictions, classifier, data, options.top_losses, columns=3),
        "reliability": lambda: reliability_figure(bins),
        "recall": lambda: recall_figure(evaluation.report),
        "precision_recall": lambda: precision_recall_figure(predictions) if worst_classes(predictions, 1) else None,
    }
    for file, write in tables.items():
        with or_warn(folder / file):
            write(folder / file)
    for name, draw in figures.items():
        with or_warn(folder / f"{name}.png"):
            if figure := draw():
                write_figure(folder / f"{name}.png", figure)
                written[name] = figure
    return written


def draw_thumbnails(evaluation: Evaluation, classifier: Classifier, data: ImageDataModule) -> dict[str, Figure]:
    """Return smaller versions of figures whose captions would be too small in a logger, by name."""
    figure = _draw_top_losses(evaluation.predictions, classifier, data, THUMBNAILS, columns=1)
    return {"top_losses": figure} if figure else {}


def _draw_top_losses(
    predictions: Predictions, classifier: Classifier, data: ImageDataModule, k: int, columns: int
) -> Figure | None:
    """Return the figure of the costliest mistakes; None where everything is right."""
    rows = top_losses(predictions, k, mistakes=True)
    if not len(rows):
        return None
    files = predictions.files[rows].tolist()
    images = evaluation_images(data.table.root, files, data.presize, data.batch_transform.size)
    device = next(classifier.parameters()).device
    heats = gradcam(classifier, images.to(device))
    return top_losses_figure(predictions, rows, images, heats, columns)


def console(evaluation: Evaluation, folder: Path | None) -> str:
    """Return the lines for the console: the error with its interval, what is confused again and again, the folder."""
    whole, predictions = evaluation.report, evaluation.predictions
    low, high = whole["error_rate_interval"]
    lines = [
        f"{evaluation.part}: {whole['wrong']:,} of {whole['n']:,} images wrong",
        f"  error {whole['error_rate']:.1%}, 95% interval {low:.1%} to {high:.1%}",
        f"  calibration error {whole['calibration']['ece']:.3f}",
    ]
    if "top5_accuracy" in whole:
        lines.append(f"  top-5 accuracy {whole['top5_accuracy']:.1%}")
    if "tta" in whole:
        lines.append(_tta_line(evaluation))
    if "threshold" in whole:
        lines.append(_threshold_line(evaluation))
    if "unknown" in whole:
        lines.append(_unknown_line(evaluation))
    where = [] if folder is None else [f"  pictures and tables: {path_text(folder)}"]
    return "\n".join([*lines, *_confusion_lines(predictions), *where])


def _confusion_lines(predictions: Predictions) -> list[str]:
    """Return what was taken for what at least twice; single mistakes are left to the file."""
    confusions = most_confused(confusion_matrix(predictions), predictions.classes, min_val=2)
    if not confusions:
        return []
    shown = confusions[:SHOWN]
    rest = f", {len(confusions) - SHOWN} more in most_confused.csv" if len(confusions) > SHOWN else ""
    width = max(len(confusion.actual) for confusion in shown)
    lines = [f"    {one.n:>3} x  {one.actual:<{width}}  taken for  {one.predicted}" for one in shown]
    return [f"  most confused{rest}:", *lines]


def _tta_line(evaluation: Evaluation) -> str:
    blended = evaluation.report["tta"]
    value, low, high = (blended["error_rate"]["tta"][key] for key in ("value", "low", "high"))
    return (
        f"  with {blended['passes']} augmented passes: error {value:.1%} (95% interval {low:.1%} to {high:.1%}); "
        f"{blended['changed']} predictions changed, {blended['corrected']} corrected, {blended['spoiled']} spoiled"
    )


def _threshold_line(evaluation: Evaluation) -> str:
    chosen = evaluation.report["threshold"]
    precision = chosen["precision"]
    said = f"{precision['value']:.1%} of them right" if precision else "none"
    return (
        f"  from probability {chosen['value']:.3f} on: {chosen['accepted']} of {evaluation.report['n']:,} images "
        f"accepted, {said}"
    )


def _unknown_line(evaluation: Evaluation) -> str:
    unknown = evaluation.report["unknown"]
    value, low, high = (unknown["share"][key] for key in ("value", "low", "high"))
    return (
        f"  {unknown['refused']} of {evaluation.report['n']:,} images taken for none of the classes, {value:.1%} "
        f"(95% interval {low:.1%} to {high:.1%}, wanted {unknown['wanted']:.1%})"
    )
