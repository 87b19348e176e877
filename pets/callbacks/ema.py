"""An exponential moving average of the weights, which is evaluated and kept instead of the last weights."""

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from pets.errors import UserError
from pets.settings import training as settings

TRAINED = "trained_state_dict"
"""Key of a checkpoint for the weights that training continues from; its `state_dict` is the average."""


def decay_at(step: int, largest: float) -> float:
    """Return the decay of an optimizer step, counted from 1: (1 + step) / (10 + step), at most `largest`.

    Early on the average is of about the last tenth of the steps, so that it never holds on to the first weights, and a
    run of any length has a fitting one. Source: `num_updates` of TensorFlow's ExponentialMovingAverage.
    """
    return min(largest, (1 + step) / (10 + step))


class EMA(Callback):
    """Average the weights after every optimizer step; validate, evaluate and save the average.

    Averaged is every floating-point value of the module's state dict, statistics of norms included; what does not
    change, such as a frozen layer, stays the same to the bit. The training itself is the same as without. While a
    validation runs, and once the fit is over, the module holds the average. A checkpoint holds the average as its
    `state_dict`, so that whatever reads it gets that, and beside it the trained weights, from which a fit resumes.

    Lightning's EMAWeightAveraging exchanges every buffer during a validation, those of losses and metrics too, starts
    from the weights before `HeadInit`, and has no decay that follows the length of the run.

    Args:
        decay: Largest decay, in [0, 1).

    Raises:
        ValueError: The decay is out of its range; at the start of a fit, if a ModelCheckpoint saves weights only.
    """

    def __init__(self, decay: float = 0.999) -> None:
        settings.EMA(decay)
        self.decay = decay
        self._average: dict[str, Tensor] = {}
        self._step = 0
        self._exchanged = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, ModelCheckpoint) and callback.save_weights_only:
                raise UserError("save_weights_only=true is not allowed with ema: Lightning then saves no average")
        self._average = {}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Take the average, which the module has just loaded, and give the module its trained weights back."""
        self._average = _copied(pl_module)
        pl_module.load_state_dict(checkpoint[TRAINED])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        average = self._average or _copied(pl_module)
        self._average = {name: value.to(pl_module.device) for name, value in average.items()}
        self._step = trainer.global_step

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Average, unless the batch was one of those that are accumulated for a later step."""
        if trainer.global_step > self._step:
            self._step = trainer.global_step
            trained = _floats(pl_module)
            update = get_ema_multi_avg_fn(decay_at(self._step, self.decay))  # type: ignore[no-untyped-call]
            update(list(self._average.values()), [trained[name] for name in self._average], self._step)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._exchange(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._exchange(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if self._exchanged:
            self._exchange(trainer, pl_module)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if self._average:
            checkpoint[TRAINED] = checkpoint["state_dict"]
            checkpoint["state_dict"] = dict(checkpoint["state_dict"]) | self._average

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the average in the module, for the evaluation at the end and for whoever has the module."""
        self._exchange(trainer, pl_module)
        self._average, self._exchanged = {}, False

    def _exchange(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let the module and the average change places; nothing before there is an average."""
        if trainer.world_size > 1 and not self._exchanged:
            # Statistics of norms are each process's own; what counts are those of the first, which are saved.
            for name, _ in pl_module.named_buffers():
                if name in self._average:
                    torch.distributed.broadcast(self._average[name], src=0)
        for name, value in _floats(pl_module).items() if self._average else ():
            average = self._average[name]
            trained = value.to(average.device, copy=True)
            value.copy_(average)
            average.copy_(trained)
        self._exchanged = bool(self._average) and not self._exchanged


def _floats(module: LightningModule) -> dict[str, Tensor]:
    """Return the floating-point values of a module's state dict, which share their memory with the module."""
    return {name: value for name, value in module.state_dict().items() if value.is_floating_point()}


def _copied(module: LightningModule) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in _floats(module).items()}
