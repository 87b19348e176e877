"""The whole run as one line of the live display: epoch, phase, time left; the loss and the last error below it."""

import math
import time
from typing import Any, Literal

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar

from pets import console
from pets.callbacks.history import phase_of
from pets.settings import training as settings

LOSS, ERROR = "train/loss", "valid/error_rate"
NOTE_SECONDS = 0.5
"""Between two looks at the loss, for which an accelerator has to stop and answer."""


class Progress(ProgressBar):
    """Show how far a fit is, where a person watches.

    Args:
        bar: `auto` shows it if stdout is a terminal; `on` and `off` decide it.

    Raises:
        ValueError: For another word.
    """

    def __init__(self, bar: Literal["auto", "on", "off"] = "auto") -> None:
        settings.Progress(bar)
        super().__init__()
        self.is_enabled = bar == "on" or (bar == "auto" and console.is_terminal())
        self._bar = console.Bar(None, "", None)
        self._noted = 0.0

    def disable(self) -> None:
        """Show nothing: Lightning's word to all processes but the first."""
        self.is_enabled = False

    def enable(self) -> None:
        """Show it."""
        self.is_enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the line; a resumed run starts where it stopped."""
        self._bar = console.open_bar(_place(trainer, pl_module), _total(trainer), self.is_enabled)
        batches: Any = trainer.fit_loop.epoch_loop.batch_progress
        done = 0 if batches.is_last_batch else batches.current.processed
        self._bar.tell(completed=trainer.current_epoch * _batches_an_epoch(trainer) + done)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._bar.tell(description=_place(trainer, pl_module))

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        self._bar.advance()
        self._note(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say that what comes is validation, or open a line for one outside a fit."""
        if trainer.state.fn == "fit":
            self._bar.tell(description=_place(trainer, pl_module, "validation"))
        else:
            self._bar = console.open_bar("validation", _count(trainer.num_val_batches), self.is_enabled)

    def on_validation_batch_end(self, *_: Any) -> None:
        self._bar.advance()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell the new error."""
        if trainer.state.fn == "fit":
            self._noted = 0.0
            self._note(trainer)
        else:
            self._bar.close()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._bar = console.open_bar("test", _count(trainer.num_test_batches), self.is_enabled)

    def on_test_batch_end(self, *_: Any) -> None:
        self._bar.advance()

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._bar.close()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._bar.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Take the line away, and with it what a terminal echoes for Ctrl-C; without one that stays on its own line."""
        echoed = isinstance(exception, KeyboardInterrupt) and self._bar.display is None
        self._bar.close()
        if echoed and trainer.is_global_zero and console.is_terminal():
            print()

    def _note(self, trainer: Trainer) -> None:
        if self._bar.display is None or time.monotonic() - self._noted < NOTE_SECONDS:
            return
        self._noted = time.monotonic()
        logged = trainer.callback_metrics
        parts = [f"loss {float(logged[LOSS]):.4f}"] if LOSS in logged else []
        parts += [f"error {float(logged[ERROR]):.1%} at the last validation"] if ERROR in logged else []
        self._bar.tell(note=", ".join(parts))


def _place(trainer: Trainer, pl_module: LightningModule, doing: str = "") -> str:
    return f"epoch {trainer.current_epoch + 1} of {_epochs(trainer)}, {doing or phase_of(pl_module)}"


def _epochs(trainer: Trainer) -> int:
    """Return the epochs that the fit will have begun at its end."""
    most = trainer.max_epochs or 0
    if trainer.max_steps != -1 and not math.isinf(trainer.num_training_batches):
        steps = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
        most = min(most, math.ceil(trainer.max_steps / steps))
    return most


def _count(batches: Any) -> int | None:
    """Return how many batches some loaders have; None where one cannot tell."""
    total = sum(batches) if isinstance(batches, list) else batches
    return None if math.isinf(total) else int(total)


def _batches_an_epoch(trainer: Trainer) -> int:
    return (_count(trainer.num_training_batches) or 0) + (_count(trainer.num_val_batches) or 0)


def _total(trainer: Trainer) -> int | None:
    if _count(trainer.num_training_batches) is None:
        return None
    return _epochs(trainer) * _batches_an_epoch(trainer)
