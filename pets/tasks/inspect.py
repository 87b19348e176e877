"""Look before training: the way of a batch from the files to the loss, the first batch, one image many times."""

import logging
from pathlib import Path

from omegaconf import DictConfig

from pets import build, records
from pets.callbacks.boards import PICTURES, log_figure
from pets.evaluation.figures.batches import augmentations, show_batch
from pets.evaluation.figures.style import write_figure
from pets.evaluation.walkthrough import summary

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Print the summary; leave show_batch.png and augmentations.png, and both in TensorBoard."""
    data = build.data_module(cfg)
    model = build.classifier(cfg, data.vocab)
    trainer = build.trainer(cfg)
    records.start(cfg, data)
    for name, result in summary(data, model.train()):
        log.info(f"{name}\n    {result}")
    for name, figure in {"show_batch": show_batch(data), "augmentations": augmentations(data)}.items():
        path = Path(cfg.run_dir) / f"{name}.png"
        write_figure(path, figure)
        log.info(f"{name}\n    {path}")
        log_figure(trainer.loggers, f"{PICTURES}/{name}", figure)
    for logger in trainer.loggers:
        logger.finalize("success")
