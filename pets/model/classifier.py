"""The network as a LightningModule: training and evaluation steps, logging, optimizer, checkpoint."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from lightning import LightningModule
from torch import Tensor

from pets.data.batch import Batch
from pets.data.datamodule import ImageDataModule
from pets.errors import UserError
from pets.model.layer_groups import param_groups
from pets.model.losses import Loss
from pets.model.metrics import EvaluationMetrics, SmoothedLoss
from pets.model.network import FrozenNorms, Network
from pets.settings.metrics import METRICS
from pets.settings.model import Library, Model

MakeOptimizer = Callable[[list[dict[str, Any]]], torch.optim.Optimizer]

fastai_adamw = partial(torch.optim.AdamW, lr=1e-3, betas=(0.9, 0.99), eps=1e-5, weight_decay=0.01)
"""AdamW with the constants of fastai's Adam; the recipe's schedule replaces lr and the first beta."""


class Classifier(Network, LightningModule):
    """A `Network` that Lightning trains.

    Logs `train/loss` (fastai's moving average over the fit, of this process), `train/loss_epoch`, and as `valid/...`
    and `test/...` what `pets.settings.metrics` measures in every epoch. Checkpoints carry `spec()` under "pets".
    """

    def __init__(
        self,
        arch: str = "resnet34",
        *,
        classes: Iterable[str],
        weights: str | None = "IMAGENET1K_V1",
        library: Library = "torchvision",
        head: Mapping[str, Any] | None = None,
        loss: Loss | None = None,
        optimizer: MakeOptimizer = fastai_adamw,
        frozen_bn: FrozenNorms = "always",
        compile: bool = False,
        groups: int = 3,
        drop_path: float | None = None,
        class_token: bool = True,
        grad_checkpointing: bool = False,
    ) -> None:
        """Build the network, see `Network`; `optimizer` makes an optimizer of the named parameter groups.

        With `compile` a fit runs the backbone through torch.compile; the names in a checkpoint are the same either way.
        """
        super().__init__(
            arch,
            classes=classes,
            weights=weights,
            library=library,
            head=head,
            loss=loss,
            frozen_bn=frozen_bn,
            groups=groups,
            drop_path=drop_path,
            class_token=class_token,
            grad_checkpointing=grad_checkpointing,
        )
        Model(compile=compile)
        self.make_optimizer = optimizer
        self.compiled = compile
        self.smoothed_loss = SmoothedLoss()
        self.metrics = EvaluationMetrics(len(self.classes))

    def setup(self, stage: str) -> None:
        if stage == "fit":  # before a checkpoint is restored
            self.smoothed_loss.reset()
            self._balance_loss()
            if self.compiled:  # in place, so that no parameter is renamed
                self.backbone.compile()

    def _balance_loss(self) -> None:
        """Tell the loss how often each class occurs among the images to train on, where a data module knows it."""
        data = getattr(self.trainer, "datamodule", None)
        if isinstance(data, ImageDataModule):
            targets = data.table.targets[data.splits.train]
            self.loss.balance(np.bincount(targets, minlength=len(self.classes)).tolist())

    def on_fit_start(self) -> None:
        # Lightning warns of modules in eval mode just before on_train_start; frozen norms are meant to be.
        LightningModule.train(self)

    def on_train_start(self) -> None:
        self.train()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss: Tensor = self.loss(self(batch.images), batch.targets)
        self.log("train/loss", self.smoothed_loss.update(loss), prog_bar=True)
        self.log("train/loss_epoch", loss, on_step=False, on_epoch=True, sync_dist=True, batch_size=len(batch.images))
        return loss

    def on_validation_epoch_start(self) -> None:
        self.metrics.reset()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._measure(batch)

    def on_validation_epoch_end(self) -> None:
        self._log_metrics("valid")

    def on_test_epoch_start(self) -> None:
        self.metrics.reset()

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._measure(batch)

    def on_test_epoch_end(self) -> None:
        self._log_metrics("test")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        try:
            return self.make_optimizer(param_groups(self))
        except (TypeError, ValueError) as error:
            raise UserError(f"optimizer: {error}") from error

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint.setdefault("pets", {}).update(self.spec())
        checkpoint["smoothed_loss"] = dict(self.smoothed_loss.named_buffers())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        for name, value in checkpoint["smoothed_loss"].items():
            self.smoothed_loss.get_buffer(name).copy_(value)

    def _measure(self, batch: Batch) -> None:
        logits = self(batch.images)
        losses = self.loss(logits, batch.targets, reduction="none")
        self.metrics.update(losses, logits, batch.targets, batch.padding)

    def _log_metrics(self, part: str) -> None:
        # compute() has already summed over the processes; sync_dist tells Lightning that the value is global.
        for name, value in self.metrics.compute().items():
            tag = f"{part}/{name}"
            self.log(tag, value, prog_bar=METRICS[tag].console, sync_dist=True)
