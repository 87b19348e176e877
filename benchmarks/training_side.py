"""`python -m benchmarks.training_side SIDE RUN RESULT`: one fit of `benchmarks.accuracy`, in a process of its own."""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.processes import cpu_seconds

PRETRAINED = "default"
"""Weights of timm's own choice, from the Hugging Face hub or its cache."""


@dataclass(frozen=True)
class Run:
    """What both sides are given.

    Attributes:
        root: Folder of the images.
        table: CSV file of the columns file (relative to `root`), label and is_valid.
        arch: Name of a model of timm.
        weights: Path of a state dict, or `default`.
        size: Side of the images given to the network, in pixels.
        epochs: Of `fine_tune`, after its frozen one.
        seed: Decides head, order and augmentation.
        overrides: What is typed beside that; ours only.
    """

    root: str
    table: str
    arch: str
    weights: str
    size: int
    epochs: int
    seed: int
    overrides: tuple[str, ...] = ()


@dataclass
class Clock:
    """Notes, after each epoch and its validation, the error rate and the minutes since the process was started."""

    started: float

    def __post_init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def note(self, error: float) -> None:
        minutes, cpu = (time.time() - self.started) / 60, cpu_seconds() / 60
        self.epochs.append({"minutes": round(minutes, 3), "cpu_minutes": round(cpu, 3), "error": error})


def ours(run: Run, clock: Clock, folder: Path) -> tuple[Sequence[str], np.ndarray]:
    """Train as `python train.py` does; return the validation images and which of them are right at the end."""
    from pets import machine

    machine.sleep_while_waiting()  # as the command line does
    machine.keep_freed_memory()
    import lightning

    from benchmarks.ours import config, of_table
    from pets import build
    from pets.evaluation.predictions import infer

    class Note(lightning.Callback):
        def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
            clock.note(float(trainer.callback_metrics["valid/error_rate"]))

    model = ["model=timm", f"model.arch={run.arch}", f"model.weights='{run.weights}'", f"augment.size={run.size}"]
    has_recipe = any(typed.startswith("recipe=") for typed in run.overrides)  # then the epochs are its own
    recipe = [] if has_recipe else [f"recipe.epochs={run.epochs}"]
    cfg = config(folder, [*of_table(run.root, run.table), *model, *recipe, f"seed={run.seed}", *run.overrides])
    data = build.data_module(cfg)
    classifier, trainer = build.classifier(cfg, data.vocab), build.trainer(cfg)
    trainer.callbacks.append(Note())  # type: ignore[attr-defined]
    trainer.fit(classifier, data)
    found = infer(
        classifier, data.val_dataloader(), data.batch_transform.evaluate, data.table.files, data.vocab.classes
    )
    if not clock.epochs:  # of a probe
        clock.note(float(1 - found.correct.mean()))
    return found.files.tolist(), found.correct


def fastai(run: Run, clock: Clock, folder: Path) -> tuple[Sequence[str], np.ndarray]:
    """Train as the book's chapter 5 does, with `vision_learner` and `fine_tune`; return as `ours`."""
    from benchmarks import rivals

    vision = rivals.vision()

    class Note(vision.Callback):  # type: ignore[name-defined, misc]
        order = vision.Recorder.order + 1

        def after_epoch(self) -> None:
            clock.note(float(self.learn.recorder.values[-1][-1]))

    vision.set_seed(run.seed)
    loaders = vision.ImageDataLoaders.from_df(
        vision.pd.read_csv(run.table),
        path=run.root,
        fn_col="file",
        label_col="label",
        valid_col="is_valid",
        item_tfms=vision.Resize(rivals.PRESIZE),
        batch_tfms=vision.aug_transforms(size=run.size, min_scale=rivals.MIN_SCALE),
    )
    local: dict[str, Any] = {} if run.weights == PRETRAINED else {"pretrained_cfg_overlay": {"file": run.weights}}
    learn = rivals.silent(vision.vision_learner(loaders, run.arch, metrics=vision.error_rate, path=folder, **local))
    learn.fine_tune(run.epochs, cbs=Note())
    probabilities, targets = learn.get_preds(dl=loaders.valid)
    return loaders.valid.items["file"].tolist(), (probabilities.argmax(1) == targets).numpy()


SIDES: dict[str, Callable[[Run, Clock, Path], tuple[Sequence[str], np.ndarray]]] = {"ours": ours, "fastai": fastai}


def main(side: str, run_file: Path, result: Path) -> None:
    """Train and leave what was measured."""
    told = json.loads(run_file.read_text())
    clock = Clock(told.pop("started"))
    run = Run(**told)
    load = os.getloadavg()[0]
    files, right = SIDES[side](run, clock, result.with_suffix(""))
    wrong = sorted(file for file, is_right in zip(files, right.tolist(), strict=True) if not is_right)
    body = {"run": asdict(run), "load": [round(load, 1), round(os.getloadavg()[0], 1)]}
    result.write_text(json.dumps(body | {"epochs": clock.epochs, "n": len(files), "wrong": wrong}, indent=1))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
