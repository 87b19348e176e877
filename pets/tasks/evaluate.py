"""Evaluate a checkpoint: what a fit leaves at its end, for any part of the data, in a run folder of its own."""

import logging
import time
from pathlib import Path
from typing import Any

from lightning import Trainer
from omegaconf import DictConfig, OmegaConf

from pets import build, records
from pets.callbacks.evaluation import evaluate_parts
from pets.callbacks.stop import adopt, listening
from pets.data.datamodule import ImageDataModule
from pets.data.manifest import read_manifest
from pets.errors import UserError
from pets.model.checkpoint import Checkpoint, read_checkpoint
from pets.model.classifier import Classifier
from pets.runs.run_folder import RunFolder
from pets.signals import Signals

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> float | None:
    """Evaluate `ckpt_path` on `evaluate.part`.

    Returns:
        The value of `optimized_metric`, None if it is not a metric of this part.

    Raises:
        ValueError: `ckpt_path` is no checkpoint, or knows other classes than the data.
    """
    with listening() as signals:
        return _run(cfg, signals)


def _run(cfg: DictConfig, signals: Signals) -> float | None:
    started = time.perf_counter()
    checkpoint = read_checkpoint(cfg.ckpt_path)
    model = checkpoint.build(Classifier)
    _follow(checkpoint, cfg)
    data = build.data_module(cfg)
    timed = build.decide_precision(cfg, model, training=False)
    trainer = build.trainer(cfg, callbacks=[])
    adopt(trainer, signals)
    _launch(trainer, model, data)
    if trainer.is_global_zero:
        records.start(cfg, data)
        _warn_of_training_images(checkpoint.path, data, cfg.evaluate.part)
    metrics = evaluate_parts(trainer, model, data, [cfg.evaluate.part], build.evaluation(cfg), Path(cfg.run_dir))
    if trainer.is_global_zero:
        seconds = time.perf_counter() - started
        records.finish(cfg, data, metrics, precision=trainer.precision, seconds=seconds, timed=timed)
        for logger in trainer.loggers:
            logger.finalize("success")
    return metrics.get(cfg.optimized_metric)


def _follow(checkpoint: Checkpoint, cfg: DictConfig) -> None:
    """Let the configuration treat images as the checkpoint was trained to see them, and say what that changes.

    Raises:
        ValueError: `data.classes` names other classes than the checkpoint.
    """
    classes = list(checkpoint.spec["classes"])
    if cfg.data.classes is not None and list(cfg.data.classes) != classes:
        raise UserError(
            f"data.classes={list(cfg.data.classes)}: the checkpoint {checkpoint.path} knows the classes {classes}"
        )
    cfg.data.classes = classes
    trained: dict[str, Any] = {f"data.presize.{key}": value for key, value in checkpoint.data["presize"].items()}
    trained["augment.size"] = checkpoint.data["size"]
    for key, value in trained.items():
        if (configured := OmegaConf.select(cfg, key)) != value:
            log.warning(f"{key}={value}, as in the checkpoint, instead of {configured}")
            OmegaConf.update(cfg, key, value)


def _launch(trainer: Trainer, model: Classifier, data: ImageDataModule) -> None:
    """Start and join the trainer's processes as a fit does; move the model to this one's device."""
    strategy, launcher = trainer.strategy, trainer.strategy.launcher
    if launcher is None:
        strategy.setup_environment()
    else:
        launcher.launch(strategy.setup_environment, trainer=trainer)
    data.trainer = trainer
    model.to(strategy.root_device)


def _warn_of_training_images(path: Path, data: ImageDataModule, part: str) -> None:
    """Warn if the checkpoint was trained on images of the part, which its run folder can tell."""
    run = RunFolder.of_checkpoint(path)
    if part == "train" or run is None or not run.splits.is_file():
        return
    trained_on = set(read_manifest(run.splits).parts["train"])
    seen = sum(file in trained_on for file in data.table.files[getattr(data.splits, part)].tolist())
    if seen:
        log.warning(
            f"{seen} images of the part {part!r} are among those that the checkpoint was trained on, "
            f"so its error is too low; data.split.from={run.splits} evaluates on the others"
        )
