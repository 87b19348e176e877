"""Train, and leave checkpoints, history.csv, metrics.json, the split, the evaluation and TensorBoard events."""

import logging
import re
import time
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning import Trainer
from omegaconf import DictConfig, OmegaConf

from pets import build
from pets.callbacks.dashboards import RunCard
from pets.callbacks.evaluation import EvaluateAtEnd
from pets.console import path_text
from pets.data.datamodule import ImageDataModule
from pets.data.survey import class_findings, class_warning
from pets.model.checkpoint import read_checkpoint
from pets.model.classifier import Classifier
from pets.runs import run_folder

log = logging.getLogger(__name__)

SWEPT = re.compile(r"^(choice|range|interval|glob|shuffle)\(|^[^\[{]*,")
"""A value of Hydra's grammar that stands for several."""


def run(cfg: DictConfig) -> float:
    """Train as `cfg` says.

    Returns:
        The final value of `optimized_metric`.

    Raises:
        ValueError: `optimized_metric` is not among the metrics of the run.
    """
    data = build.data_module(cfg)
    if warning := class_warning(class_findings(data.table)):
        log.warning(f"warning: {warning}")
    model = build.classifier(cfg, data.vocab)
    # A damaged file is said in one line here, before anything is written.
    checkpoint = read_checkpoint(cfg.ckpt_path) if cfg.ckpt_path else None
    in_place = checkpoint is not None and checkpoint.path.is_relative_to(cfg.run_dir)
    trainer = build.trainer(cfg, resumed_step=checkpoint.step if checkpoint and in_place else None)
    with run_folder.claimed(cfg) if trainer.is_global_zero else nullcontext():
        if trainer.is_global_zero:
            run_folder.start(cfg, data)
            if not in_place:
                facts = run_folder.facts(cfg, data, trainer.precision)
                card = RunCard(run_folder.plain(cfg), facts, varied_first(run_folder.typed(), _swept()), _choices())
                trainer.callbacks.append(card)  # type: ignore[attr-defined]
        return _fit(cfg, trainer, model, data)


def what_next(folder: Path) -> str:
    """Return where a run lies and what to type next; in a sweep only the former, since another run may be the last."""
    shown = path_text(folder)
    told = f"run folder: {shown}"
    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        return told
    run = "last" if folder.absolute().is_relative_to(Path("outputs").absolute()) else shown
    return "\n".join(
        [
            told,
            f"  tensorboard --logdir {shown}",
            f"  python train.py task=evaluate ckpt_path={run}",
            f"  python train.py task=predict ckpt_path={run} source=FILE",
        ]
    )


def varied_first(overrides: Sequence[str], swept: Collection[str]) -> list[str]:
    """Return the overrides with those of swept keys before the others."""
    return sorted(overrides, key=lambda override: override.lstrip("+").partition("=")[0] not in swept)


def _swept() -> set[str]:
    """Return the keys that a sweep varies, as far as Hydra's record of it tells; none outside a sweep."""
    if not (HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN):
        return set()
    hydra = HydraConfig.get()
    record = Path(hydra.sweep.dir) / "multirun.yaml"
    typed = OmegaConf.load(record).hydra.overrides.task if record.is_file() else []
    pairs = (override.lstrip("+").partition("=") for override in typed)
    return {key for key, _, value in pairs if SWEPT.search(value)} | set(hydra.sweeper.get("params") or {})


def _choices() -> dict[str, str]:
    """Return the file chosen of each group of the configuration; none for a run that Hydra did not start."""
    return dict(HydraConfig.get().runtime.choices) if HydraConfig.initialized() else {}


def _fit(cfg: DictConfig, trainer: Trainer, model: Classifier, data: ImageDataModule) -> float:
    started = time.perf_counter()
    at_end = EvaluateAtEnd(build.evaluation(cfg), cfg.run_dir)
    if cfg.evaluate.at_end:
        trainer.callbacks.append(at_end)  # type: ignore[attr-defined]
    trainer.fit(model, data, ckpt_path=cfg.ckpt_path, weights_only=True)
    if not trainer.callback_metrics:  # the run was interrupted after its last epoch: there was nothing left to train
        trainer.validate(model, data, verbose=False)
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    metrics |= at_end.metrics
    if len(data.splits.test) and not cfg.evaluate.at_end:
        metrics |= trainer.test(model, data, verbose=False)[0]
    if cfg.optimized_metric not in metrics:
        raise ValueError(f"optimized_metric={cfg.optimized_metric!r} is not among: {', '.join(sorted(metrics))}")
    if trainer.is_global_zero:
        seconds = time.perf_counter() - started
        run_folder.finish(cfg, data, metrics, precision=trainer.precision, seconds=seconds)
        log.info(what_next(Path(cfg.run_dir)))
    return metrics[cfg.optimized_metric]
