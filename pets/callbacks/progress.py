"""A progress bar where a person watches, and none where a file does."""

import sys
from typing import Any, Literal

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm

from pets.settings import training as settings


class Progress(TQDMProgressBar):
    """Lightning's bar, cleared at the end of each epoch so that the table of epochs stays whole.

    Args:
        bar: `auto` shows a bar if stdout is a terminal; `on` and `off` decide it.

    Raises:
        ValueError: For another word.
    """

    def __init__(self, bar: Literal["auto", "on", "off"] = "auto") -> None:
        settings.Progress(bar)
        super().__init__()
        if bar == "off" or (bar == "auto" and not sys.stdout.isatty()):
            self.disable()

    def init_train_tqdm(self) -> Tqdm:
        """Return the training bar; nothing of it stays behind."""
        bar = super().init_train_tqdm()
        bar.leave = False
        return bar

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Return what stands beside the bar, without a version number that means nothing here."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return dict(metrics)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Clear the line for the epoch's row, which the history prints next."""
        super().on_train_epoch_end(trainer, pl_module)
        self.train_progress_bar.clear()
