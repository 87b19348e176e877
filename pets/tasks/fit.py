"""Train, and leave checkpoints, history.csv, metrics.json, the split, the evaluation and TensorBoard events."""

import json
import logging
import shlex
import time
from collections.abc import Mapping
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning import Trainer
from omegaconf import DictConfig

from pets import build, records
from pets.callbacks.dashboards import RunCard
from pets.callbacks.evaluation import EvaluateAtEnd
from pets.callbacks.history import History
from pets.callbacks.stop import adopt, listening
from pets.callbacks.training_state import check_fits
from pets.console import path_text
from pets.data.datamodule import ImageDataModule
from pets.data.survey import class_findings, class_warning
from pets.errors import UserError
from pets.files import read_text, refuse_links
from pets.model.checkpoint import Checkpoint, read_checkpoint
from pets.model.classifier import Classifier
from pets.runs.output import naming
from pets.runs.overrides import choices, swept, typed, varied_first
from pets.runs.run_folder import OUTPUTS, RunFolder
from pets.settings.metrics import check_measured
from pets.signals import Signals

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> float:
    """Train as `cfg` says.

    Returns:
        The final value of `optimized_metric`.

    Raises:
        UserError: The run will not measure `optimized_metric`.
    """
    with naming(cfg.run_dir), listening() as signals:
        return _run(cfg, signals)


def _run(cfg: DictConfig, signals: Signals) -> float:
    # A damaged file is said in one line here, before anything is written.
    checkpoint = read_checkpoint(cfg.ckpt_path) if cfg.ckpt_path else None
    folder = RunFolder(cfg.run_dir)
    in_place = checkpoint is not None and checkpoint.path.resolve().is_relative_to(folder.path.resolve())
    if checkpoint and in_place and (metrics := _finished(checkpoint, folder, build.epochs(cfg))):
        log.info("the run is finished: %s", folder.path)
        return _optimized(cfg, metrics)
    data = build.data_module(cfg)
    if warning := class_warning(class_findings(data.table), cfg.data.split.method):
        log.warning(f"warning: {warning}")
    check_measured(
        cfg.optimized_metric, n_classes=len(data.vocab), tested=len(data.splits.test) > 0, at_end=cfg.evaluate.at_end
    )
    model = build.classifier(cfg, data.vocab)
    timed = build.decide_precision(cfg, model)
    trainer = build.trainer(cfg, resumed_step=checkpoint.step if checkpoint and in_place else None)
    adopt(trainer, signals)
    if checkpoint:
        check_fits(checkpoint.path, trainer, model, len(data.splits.train))
    if in_place:
        refuse_links(folder.path)
    if trainer.is_global_zero:
        records.start(cfg, data)
        if not in_place:
            facts = records.facts(cfg, data, trainer.precision)
            card = RunCard(records.plain(cfg), facts, varied_first(typed(), swept()), choices())
            trainer.callbacks.append(card)  # type: ignore[attr-defined]
    return _fit(cfg, trainer, model, data, timed)


def _finished(checkpoint: Checkpoint, folder: RunFolder, epochs: int) -> dict[str, float] | None:
    """Return the metrics of a run with nothing left to do; None if there is something."""
    if checkpoint.epochs < epochs or not folder.metrics.is_file():
        return None
    metrics: dict[str, float] = json.loads(read_text(folder.metrics))
    return metrics


def _optimized(cfg: DictConfig, metrics: dict[str, float]) -> float:
    if cfg.optimized_metric not in metrics:
        known = sorted(name for name in metrics if "/" in name)
        raise UserError(f"optimized_metric={cfg.optimized_metric!r} is not among: {', '.join(known)}")
    return metrics[cfg.optimized_metric]


def what_next(folder: Path) -> str:
    """Return where a run lies and what to type next; in a sweep only the former, since another run may be the last."""
    shown = path_text(folder)
    told = f"run folder: {shown}"
    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        return told
    in_outputs = folder.absolute().is_relative_to(OUTPUTS.absolute())
    run = shlex.quote(f"ckpt_path={'last' if in_outputs else shown}")
    return "\n".join(
        [
            told,
            f"  tensorboard --logdir {shlex.quote(shown)}",
            f"  python train.py task=evaluate {run}",
            f"  python train.py task=predict {run} source=FILE",
        ]
    )


def _fit(
    cfg: DictConfig, trainer: Trainer, model: Classifier, data: ImageDataModule, timed: Mapping[str, float]
) -> float:
    started = time.perf_counter()
    at_end = EvaluateAtEnd(build.evaluation(cfg), cfg.run_dir)
    if cfg.evaluate.at_end:
        trainer.callbacks.append(at_end)  # type: ignore[attr-defined]
    try:
        trainer.fit(model, data, ckpt_path=cfg.ckpt_path, weights_only=True)
    except Exception:
        if at_end.is_trained:  # an evaluation that fails does not cost the numbers of the training
            _finish(cfg, trainer, data, _logged(trainer), started, timed)
        raise
    metrics: dict[str, float] = {}
    if not trainer.callback_metrics and (trainer.max_epochs or not at_end.metrics):
        # A probe, which its evaluation measures; or a run that was interrupted after its last epoch.
        history = next((one for one in trainer.callbacks if isinstance(one, History)), None)  # type: ignore[attr-defined]
        metrics |= history.last_metrics() if history else {}
        trainer.validate(model, data, verbose=False)
    metrics |= _logged(trainer) | at_end.metrics
    if len(data.splits.test) and not cfg.evaluate.at_end:
        metrics |= trainer.test(model, data, verbose=False)[0]
    _finish(cfg, trainer, data, metrics, started, timed)
    return _optimized(cfg, metrics)


def _logged(trainer: Trainer) -> dict[str, float]:
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def _finish(
    cfg: DictConfig,
    trainer: Trainer,
    data: ImageDataModule,
    metrics: dict[str, float],
    started: float,
    timed: Mapping[str, float],
) -> None:
    if trainer.is_global_zero:
        seconds = time.perf_counter() - started
        records.finish(cfg, data, metrics, precision=trainer.precision, seconds=seconds, timed=timed)
        log.info(what_next(Path(cfg.run_dir)))
