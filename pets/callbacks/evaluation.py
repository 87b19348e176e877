"""Evaluate under a Trainer: infer in all of its processes, write and show in the first one."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from lightning import Callback, LightningModule, Trainer
from matplotlib.figure import Figure

from pets.callbacks.boards import PICTURES, boards
from pets.data.datamodule import ImageDataModule
from pets.evaluation import artifacts
from pets.evaluation.embedding import embedding
from pets.evaluation.evaluate import Evaluation, Options, evaluate, key_numbers
from pets.evaluation.features import FeatureStore
from pets.evaluation.figures.classes import worst_classes
from pets.files import or_warn
from pets.model.classifier import Classifier
from pets.runs.run_folder import RunFolder
from pets.settings.parts import Part

log = logging.getLogger(__name__)

PR_CURVES = 5
"""Classes of lowest average precision whose curves the loggers get."""


class EvaluateAtEnd(Callback):
    """Evaluate the final weights on the validation part, and on the test part if there is one, when a fit is over.

    Tables and pictures of a part go to `<folder>/<part>/`.

    Attributes:
        metrics: The key numbers; empty until then.
        is_trained: Whether the fit was over, so that what fails is the evaluation.
    """

    def __init__(self, options: Options, folder: str | Path) -> None:
        self.options = options
        self.folder = Path(folder)
        self.metrics: dict[str, float] = {}
        self.is_trained = False

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluate while processes, device and loggers are still there."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not (isinstance(data, ImageDataModule) and isinstance(pl_module, Classifier)):
            raise TypeError(f"evaluates a Classifier and a ImageDataModule, got {type(pl_module)} and {type(data)}")
        self.is_trained = True
        parts: tuple[Part, ...] = ("valid", "test") if len(data.splits.test) else ("valid",)
        # After a fit without epochs the body is as it was when the head was solved, and its features are kept.
        store = FeatureStore(pl_module, data, trainer.precision_plugin) if trainer.max_epochs == 0 else None
        self.metrics = evaluate_parts(trainer, pl_module, data, parts, self.options, self.folder, store)


def evaluate_parts(
    trainer: Trainer,
    model: Classifier,
    data: ImageDataModule,
    parts: Sequence[Part],
    options: Options,
    folder: Path,
    store: FeatureStore | None = None,
) -> dict[str, float]:
    """Evaluate at the trainer's precision; leave `<folder>/<part>/`, figures and numbers in the loggers, a summary.

    With `false_alarms`, the detector of unknown images becomes `<folder>/unknown.safetensors`.

    Predictions come from the features of a store where there is one, and else from the images.

    Returns:
        The key numbers of all parts, the same in every process.
    """
    with trainer.precision_plugin.forward_context():
        evaluations = evaluate(model, data, parts, options, store, trainer.precision_plugin)
    metrics = {name: value for evaluation in evaluations for name, value in key_numbers(evaluation).items()}
    if trainer.is_global_zero:
        if detector := evaluations[0].detector:
            detector.save(RunFolder(folder).unknown, model.state_dict())
        for evaluation in evaluations:
            _leave(evaluation, trainer, model, data, options, folder / evaluation.part)
        news = {name: value for name, value in metrics.items() if name not in trainer.callback_metrics}
        for logger in trainer.loggers:
            logger.log_metrics(news, trainer.global_step)
    return metrics


def _leave(
    evaluation: Evaluation, trainer: Trainer, model: Classifier, data: ImageDataModule, options: Options, folder: Path
) -> None:
    figures = artifacts.save(evaluation, model, data, options, folder)
    with or_warn(f"{evaluation.part}: the pictures in the loggers"):
        _publish(evaluation, figures | artifacts.draw_thumbnails(evaluation, model, data), trainer)
    if options.embedding:
        with or_warn(f"{evaluation.part}: the features in the loggers"):
            features = embedding(evaluation.predictions, model, data)
            for board in boards(trainer.loggers):
                board.embedding(f"{evaluation.part}_features", *features, trainer.global_step)
    log.info(artifacts.console(evaluation, folder))


def _publish(evaluation: Evaluation, figures: Mapping[str, Figure], trainer: Trainer) -> None:
    """Show the figures in the loggers, and the precision-recall curves of the worst classes."""
    part, predictions, step = evaluation.part, evaluation.predictions, trainer.global_step
    for board in boards(trainer.loggers):
        for name, figure in figures.items():
            board.figure(f"{PICTURES}/{part}/{name}", figure, step)
        for index in worst_classes(predictions, PR_CURVES):
            name = f"{part}/precision_recall/{predictions.classes[index]}"
            board.pr_curve(name, predictions.targets == index, predictions.probabilities[:, index], step)
