"""Solves a linear head from the features of the training images, before the first step of a run."""

import json
import logging
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from pets.callbacks.boards import PICTURES, log_figure
from pets.console import path_text
from pets.data.datamodule import ImageDataModule
from pets.errors import UserError
from pets.evaluation.features import FeatureStore
from pets.evaluation.figures.choice import choice_figure
from pets.evaluation.figures.style import write_figure
from pets.files import or_warn, write_text
from pets.model.head_solver import FOLDS, Solution, solve_head
from pets.settings.model import Head

log = logging.getLogger(__name__)


class HeadInit(Callback):
    """Unless `model.head.init=random`, replace the head's random weights by those solved from the training features.

    The features are those of the body as it is, of the training images as in evaluation, so the result depends on the
    data alone. Several processes share the images out and all get the weights of the first. A resumed run skips it.
    It stands before an `LRFinder`, which is to see the head that will be trained. A fit without epochs (`recipe=probe`)
    leaves that head as last.ckpt and best.ckpt.

    Args:
        dirpath: Receives head.json and head.png, how the regularisation was chosen; None: neither.

    Raises:
        ValueError: At the start of a fit, without a `ImageDataModule` in the trainer or with a class without images.
    """

    def __init__(self, dirpath: str | Path | None = None) -> None:
        self.dirpath = None if dirpath is None else Path(dirpath)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module: Any = pl_module
        options = Head(**module.head_options)
        if options.init == "random" or trainer.ckpt_path is not None:
            return
        data = getattr(trainer, "datamodule", None)
        if not isinstance(data, ImageDataModule):
            raise UserError(
                f"model.head.init={options.init}: the trainer needs the data module, trainer.fit(model, data)"
            )
        found = FeatureStore(module, data, trainer.precision_plugin).features("train")
        solution = solve_head(found.values, found.targets, len(module.classes), options)
        weight, bias = trainer.strategy.broadcast((solution.weight, solution.bias))
        with torch.no_grad():
            module.head[-1].weight.copy_(weight)
            module.head[-1].bias.copy_(bias)
        if trainer.is_global_zero:
            self._tell(trainer, solution, options.init, len(found.targets))

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.max_epochs == 0:
            for callback in trainer.checkpoint_callbacks:
                dirpath, filename = getattr(callback, "dirpath", None), getattr(callback, "filename", None)
                if dirpath and filename:
                    trainer.save_checkpoint(Path(dirpath) / f"{filename}.ckpt")

    def _tell(self, trainer: Trainer, solution: Solution, method: str, n: int) -> None:
        """Say what was solved; leave how it was chosen in the folder and in the loggers."""
        name = {"lda": "linear discriminant", "logistic": "logistic regression"}[method]
        log.info(f"head: {name} of {n:,} training images, {solution.key}={solution.value:g}")
        if not solution.trials:
            return
        best = min(solution.trials)
        log.info(f"  chosen of {len(solution.trials)} by {FOLDS}-fold cross-validation, error {best.error:.1%} there")
        picture = None if self.dirpath is None else self.dirpath / "head.png"
        if picture is not None:
            trials = [trial._asdict() for trial in solution.trials]
            record = {"key": f"model.head.{solution.key}", "chosen": solution.value, "n": solution.n, "trials": trials}
            write_text(picture.with_suffix(".json"), json.dumps(record, indent=1) + "\n")
        with or_warn(picture or "head.png"):
            figure = choice_figure(solution)
            if picture is not None:
                write_figure(picture, figure)
                log.info(f"  picture: {path_text(picture)}")
            log_figure(trainer.loggers, f"{PICTURES}/head", figure)
