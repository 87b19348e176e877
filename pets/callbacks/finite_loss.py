"""A run whose loss or weights are not finite ends before its last good checkpoint is overwritten."""

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from pets.data.batch import Batch


class FiniteLoss(Callback):
    """Stop a run whose loss or weights are no longer finite, before a checkpoint holds them.

    The loss of every step is looked at on the device, which is asked for the result as often as curves get a point.

    Raises:
        FloatingPointError: Naming the step, the learning rate and what to try.
    """

    def __init__(self) -> None:
        self._first_bad = torch.tensor(-1)
        self._rates: dict[int, float] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._first_bad = torch.tensor(-1, device=pl_module.device)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        self._rates[trainer.global_step] = trainer.optimizers[0].param_groups[-1]["lr"]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        loss: Tensor = outputs["loss"]
        bad = ~loss.isfinite() & (self._first_bad < 0)
        self._first_bad = torch.where(bad, max(self._rates), self._first_bad)
        if batch_idx % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self._check_loss(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._check_loss(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Refuse to save weights that are not finite: the last loss was computed before the last step."""
        finite = [value.isfinite().all() for value in pl_module.state_dict().values() if value.is_floating_point()]
        if not torch.stack(finite).all():
            self._stop("the weights are not finite after", trainer.global_step - 1)

    def _check_loss(self, trainer: Trainer) -> None:
        # All processes stop together: one that continued alone would wait for the others forever.
        step = int(self._first_bad)
        if trainer.strategy.reduce_boolean_decision(step >= 0, all=False):
            self._stop("the loss is not finite at", step if step >= 0 else trainer.global_step - 1)
        self._rates = {max(self._rates): self._rates[max(self._rates)]}

    def _stop(self, what: str, step: int) -> None:
        rate = f" (learning rate of the head {self._rates[step]:.2e})" if step in self._rates else ""
        raise FloatingPointError(
            f"{what} step {step}{rate}: try a tenth of recipe.base_lr, lr_finder=report, "
            "trainer.gradient_clip_val=1, or trainer.precision=32-true; the last good checkpoint is kept"
        )
