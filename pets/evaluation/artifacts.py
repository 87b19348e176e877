"""What an evaluation leaves behind: tables and pictures in a folder, the same pictures in TensorBoard, a few lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from torch.utils.tensorboard import SummaryWriter

from pets.evaluation.evaluate import Evaluation, Options
from pets.evaluation.figures.classes import precision_recall_figure, recall_figure, worst_classes
from pets.evaluation.figures.confusion import confusion_figure
from pets.evaluation.figures.grids import top_losses_figure
from pets.evaluation.figures.reliability import reliability_figure
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
from pets.files import or_warn, own_folder, write_csv, write_figure, write_text
from pets.model.metrics import Bin

if TYPE_CHECKING:
    from pets.data.datamodule import ImageDataModule
    from pets.model.classifier import Classifier

PR_CURVES = 5
"""Classes of lowest average precision whose curves TensorBoard gets."""


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
    figures: dict[str, Callable[[], Figure]] = {
        "confusion": lambda: confusion_figure(matrix, classes, clustered=options.cluster),
        "confusion_normalised": lambda: confusion_figure(matrix, classes, normalise=True, clustered=options.cluster),
        "top_losses": lambda: _draw_top_losses(predictions, classifier, data, options.top_losses),
        "reliability": lambda: reliability_figure(bins),
        "recall": lambda: recall_figure(evaluation.report),
        "precision_recall": lambda: precision_recall_figure(predictions),
    }
    for file, write in tables.items():
        with or_warn(folder / file):
            write(folder / file)
    for name, draw in figures.items():
        with or_warn(folder / f"{name}.png"):
            write_figure(folder / f"{name}.png", figure := draw())
            written[name] = figure
    return written


def _draw_top_losses(predictions: Predictions, classifier: Classifier, data: ImageDataModule, k: int) -> Figure:
    rows = top_losses(predictions, k)
    files = predictions.files[rows].tolist()
    images = evaluation_images(data.table.root, files, data.presize, data.batch_transform.size)
    device = next(classifier.parameters()).device
    return top_losses_figure(predictions, rows, images, gradcam(classifier, images.to(device)))


def publish(evaluation: Evaluation, figures: Mapping[str, Figure], writer: SummaryWriter, step: int) -> None:
    """Show the figures and the precision-recall curves of the worst classes in TensorBoard."""
    part, predictions = evaluation.part, evaluation.predictions
    for name, figure in figures.items():
        writer.add_figure(f"{part}/{name}", figure, step, close=False)
    for index in worst_classes(predictions, PR_CURVES):
        tag = f"{part}/precision_recall/{predictions.classes[index]}"
        writer.add_pr_curve(tag, predictions.targets == index, predictions.probabilities[:, index], step)


def console(evaluation: Evaluation, folder: Path, k: int = 5) -> str:
    """Return the lines for the console: the error with its interval, the k most confused pairs, where the rest is."""
    whole, predictions = evaluation.report, evaluation.predictions
    low, high = whole["error_rate_interval"]
    top5 = f"top-5 accuracy {whole['top5_accuracy']:.1%}, " if "top5_accuracy" in whole else ""
    lines = [
        f"{evaluation.part}: {whole['wrong']} of {whole['n']:,} images wrong, error {whole['error_rate']:.1%} "
        f"(95% interval {low:.1%} to {high:.1%}), {top5}"
        f"calibration error {whole['calibration']['ece']:.3f}"
    ]
    if "tta" in whole:
        lines.append(_tta_line(evaluation))
    if "threshold" in whole:
        lines.append(_threshold_line(evaluation))
    pairs = most_confused_pairs(confusion_matrix(predictions), predictions.classes)[:k]
    if pairs:
        width = max(len(pair.first) for pair in pairs)
        lines.append("  most confused pairs")
        lines += [f"  {pair.n:>4}  {pair.first:<{width}}  {pair.second}" for pair in pairs]
    return "\n".join([*lines, f"  pictures and tables: {folder}"])


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
