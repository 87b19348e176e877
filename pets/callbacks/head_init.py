"""Starts a linear head from the closed form, before the first step of a run."""

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info

from pets.data.datamodule import ImageDataModule
from pets.errors import UserError
from pets.evaluation.features import FeatureStore
from pets.model.closed_form import discriminant_head


class HeadInit(Callback):
    """With `model.head.init=lda`, replace the head's random weights by the discriminant of the training features.

    The features are those of the body as it is, of the training images as in evaluation, so the result depends on the
    data alone. Several processes share the images out and all get the weights of the first. A resumed run skips it.
    It stands before an `LRFinder`, which is to see the head that will be trained.

    Raises:
        ValueError: At the start of a fit, without a `ImageDataModule` in the trainer or with a class without images.
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module: Any = pl_module
        if module.head_options["init"] != "lda" or trainer.ckpt_path is not None:
            return
        data = getattr(trainer, "datamodule", None)
        if not isinstance(data, ImageDataModule):
            raise UserError("model.head.init=lda: the trainer needs the data module, trainer.fit(model, data)")
        features = FeatureStore(module, data, trainer.precision_plugin).features("train")
        shrinkage = module.head_options["shrinkage"]
        closed_form = discriminant_head(features.values, features.targets, len(module.classes), shrinkage)
        weight, bias = trainer.strategy.broadcast(closed_form)
        with torch.no_grad():
            module.head[-1].weight.copy_(weight)
            module.head[-1].bias.copy_(bias)
        rank_zero_info(f"head: linear discriminant of {len(features.targets)} training images")
