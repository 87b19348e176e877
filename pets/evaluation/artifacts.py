"""What an evaluation leaves behind: tables and pictures in a folder, the same pictures in TensorBoard, a few lines."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
from pets.evaluation.predictions import Predictions, evaluation_images
from pets.files import write_csv
from pets.model.metrics import Bin

if TYPE_CHECKING:
    from pets.data.datamodule import ImageDataModule
    from pets.model.classifier import Classifier

PR_CURVES = 5
"""Classes of lowest average precision whose curves TensorBoard gets."""


def save(evaluation: Evaluation, figures: Mapping[str, Figure], folder: Path) -> None:
    """Write predictions.npz and .csv, report.json, most_confused.csv, most_confused_pairs.csv and the figures."""
    folder.mkdir(parents=True, exist_ok=True)
    predictions = evaluation.predictions
    predictions.save(folder)
    (folder / "report.json").write_text(json.dumps(evaluation.report, indent=1) + "\n", encoding="utf-8")
    matrix = confusion_matrix(predictions)
    write_csv(folder / "most_confused.csv", Confusion._fields, most_confused(matrix, predictions.classes))
    pairs = most_confused_pairs(matrix, predictions.classes)
    write_csv(folder / "most_confused_pairs.csv", ConfusedPair._fields, pairs)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png")


def draw_figures(
    evaluation: Evaluation, classifier: Classifier, data: ImageDataModule, options: Options
) -> dict[str, Figure]:
    """Return the figures of an evaluation by name; only the top losses open images again."""
    predictions = evaluation.predictions
    matrix = confusion_matrix(predictions)
    shown = (matrix, predictions.classes)
    return {
        "confusion": confusion_figure(*shown, clustered=options.cluster),
        "confusion_normalised": confusion_figure(*shown, normalise=True, clustered=options.cluster),
        "top_losses": _draw_top_losses(predictions, classifier, data, options.top_losses),
        "reliability": reliability_figure([Bin(**entry) for entry in evaluation.report["calibration"]["bins"]]),
        "recall": recall_figure(evaluation.report),
        "precision_recall": precision_recall_figure(predictions),
    }


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
