"""fastai's few lines: train, look for a learning rate, evaluate and predict, one call each, without a Trainer in hand.

Nothing is written unless a folder is named, and what a command would say of a run is printed.
"""

import logging
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning import Callback, Trainer

from pets import console, machine
from pets.callbacks.checkpoint_io import AtomicCheckpointIO
from pets.callbacks.finite_loss import FiniteLoss
from pets.callbacks.head_init import HeadInit
from pets.callbacks.history import History
from pets.callbacks.lr_finder import LRFinder
from pets.callbacks.one_cycle import OneCycle
from pets.callbacks.progress import Progress
from pets.callbacks.step_seed import StepSeed
from pets.callbacks.sync_buffers import SyncBuffers
from pets.data.datamodule import ImageDataModule
from pets.deploy.artifact import Artifact
from pets.deploy.metadata import Metadata
from pets.deploy.predictor import Predictor
from pets.errors import UserError
from pets.evaluation import artifacts
from pets.evaluation.evaluate import Evaluation, Options
from pets.evaluation.evaluate import evaluate as evaluate_parts
from pets.files import own_folder
from pets.model.classifier import Classifier
from pets.model.precision import choose, work_of
from pets.runs.run_folder import RunFolder
from pets.schedule.lr_range import LRCurve
from pets.schedule.recipe import Recipe
from pets.settings.parts import Part
from pets.tasks.predict import default_device

log = logging.getLogger("pets.api")


def fit(
    model: Classifier,
    data: ImageDataModule,
    recipe: Recipe,
    *,
    seed: int = 42,
    accelerator: str = "auto",
    precision: str = "auto",
    folder: str | Path | None = None,
) -> list[dict[str, Any]]:
    """Train a model by a recipe and print the table of epochs.

    Args:
        model: The model to train; one that was trained before continues from its weights.
        data: What it learns from.
        recipe: The phases, as `fine_tune` or `one_cycle` make them.
        seed: Decides dropout; the model and the data have seeds of their own.
        accelerator: auto, cpu or gpu.
        precision: auto, 32-true, bf16-mixed or 16-mixed.
        folder: Receives `history.csv` and the trained `checkpoints/last.ckpt`, which `Predictor.load(folder)` and
            `task=predict ckpt_path=folder` read; None: nothing is written.

    Returns:
        A row an epoch with what the table shows and the learning rates, as history.csv has them.

    Raises:
        UserError: The folder holds a run, or an argument is not what it should be.
    """
    run = None if folder is None else RunFolder(folder)
    if run and run.holds_run():
        raise UserError(f"folder={run.path} holds a run: choose another folder")
    history = History(run.history if run else None)
    callbacks = [HeadInit(), StepSeed(seed), OneCycle(recipe), FiniteLoss(), SyncBuffers(), Progress(), history]
    with _shown():
        decided = _decided(precision, model, data, recipe, accelerator)
        with _trainer(callbacks, recipe.epochs, accelerator, decided) as trainer:
            trainer.fit(model, data)
            if run:
                own_folder(run.checkpoints)
                trainer.save_checkpoint(run.last)
    return history.rows


def find_lr(
    model: Classifier, data: ImageDataModule, recipe: Recipe, *, accelerator: str = "auto", precision: str = "auto"
) -> LRCurve:
    """Run the LR range test on a copy of a model, in the state of a recipe's first phase, and say what it suggests.

    Returns:
        The curve; `suggestions` are learning rates of the head, by rule.
    """
    finder = LRFinder(recipe=recipe)
    with _shown(), _trainer([finder], 0, accelerator, _decided(precision, model, data, recipe, accelerator)) as trainer:
        log.info(f"LR finder: up to {finder.num_steps} steps on a copy of the model")
        trainer.fit(model, data)
    assert finder.curve is not None
    return finder.curve


def evaluate(
    model: Classifier,
    data: ImageDataModule,
    part: Part = "valid",
    options: Options | None = None,
    *,
    folder: str | Path | None = None,
) -> Evaluation:
    """Predict one part of the data, and say how many are wrong and what is taken for what.

    Args:
        model: What predicts; it computes on the accelerator if there is one.
        data: Where the images come from.
        part: train, valid or test.
        options: Threshold, test-time augmentation and what else an evaluation does.
        folder: Receives the tables and pictures that task=evaluate leaves; None: nothing is written.

    Returns:
        The predictions of every image, and the report on them.
    """
    options = options or Options()
    data.prepare_data()
    data.setup()
    device = model.device
    with _shown():
        try:
            (evaluation,) = evaluate_parts(model.to(default_device()), data, [part], options)
            if folder is not None:
                artifacts.save(evaluation, model, data, options, Path(folder))
        finally:
            model.to(device)
        log.info(artifacts.console(evaluation, None if folder is None else Path(folder)))
    return evaluation


def predictor(model: Classifier, data: ImageDataModule, *, device: str = "cpu", top_k: int = 5) -> Predictor:
    """Return a predictor of photographs with a model as it is, treated as the data treats them.

    `Predictor.load` makes one of a checkpoint, a run folder or an export.
    """
    metadata = Metadata(model.spec(), data.presize, data.batch_transform.size)
    artifact = Artifact(model.eval(), metadata, Path("the model in memory"))
    return Predictor(artifact, device=device, top_k=top_k)


def _decided(precision: str, model: Classifier, data: ImageDataModule, recipe: Recipe, accelerator: str) -> str:
    """Return a precision, for `auto` what it stands for."""
    if precision != "auto":
        return precision
    work = work_of(recipe.phases, data.batch_transform.size)
    return choose(model, work, batch_size=data.batch_size, accelerator=accelerator, alone=True)[0]


@contextmanager
def _trainer(callbacks: list[Callback], epochs: int, accelerator: str, precision: str) -> Iterator[Trainer]:
    """Give a trainer that says nothing itself and leaves nothing in the current folder."""
    with tempfile.TemporaryDirectory() as nowhere, machine.isolated():
        machine.quiet_lightning()
        yield Trainer(
            accelerator=accelerator,
            devices=1,
            precision=precision,  # type: ignore[arg-type]
            max_epochs=epochs,
            callbacks=callbacks,
            plugins=[AtomicCheckpointIO(nowhere, [])],
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            default_root_dir=nowhere,
        )


@contextmanager
def _shown() -> Iterator[None]:
    """Print what the package says, unless the program that uses it shows it already."""
    ours = logging.getLogger("pets")
    if ours.hasHandlers() and ours.isEnabledFor(logging.INFO):
        yield
        return
    handler, level, propagate = console.Handler(sys.stdout), ours.level, ours.propagate
    handler.setFormatter(logging.Formatter("%(message)s"))
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    ours.propagate = False
    try:
        yield
    finally:
        ours.removeHandler(handler)
        ours.setLevel(level)
        ours.propagate = propagate
