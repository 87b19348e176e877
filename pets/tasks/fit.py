"""Train, and leave checkpoints, history.csv, metrics.json, splits.json and TensorBoard events in the run folder."""

import time

from omegaconf import DictConfig

from pets import build, run_folder
from pets.callbacks.dashboards import log_card


def run(cfg: DictConfig) -> float:
    """Train as `cfg` says.

    Returns:
        The final value of `optimized_metric`.

    Raises:
        ValueError: `optimized_metric` is not among the metrics of the run.
    """
    started = time.perf_counter()
    data = build.data_module(cfg)
    model = build.classifier(cfg, data.vocab)
    trainer = build.trainer(cfg)
    if trainer.is_global_zero:
        run_folder.start(cfg, data)
        log_card(trainer.loggers, run_folder.plain(cfg))
    trainer.fit(model, data, ckpt_path=cfg.ckpt_path, weights_only=True)
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    if len(data.splits.test):
        metrics |= trainer.test(model, data, verbose=False)[0]
    if cfg.optimized_metric not in metrics:
        raise ValueError(f"optimized_metric={cfg.optimized_metric!r} is not among: {', '.join(sorted(metrics))}")
    if trainer.is_global_zero:
        run_folder.finish(cfg, data, metrics, seconds=time.perf_counter() - started)
    return metrics[cfg.optimized_metric]
