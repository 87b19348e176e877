"""A classifier and data so small that a fit takes a fraction of a second."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from pets.callbacks.one_cycle import OneCycle
from pets.data.batch import N_UNIFORMS, Batch
from pets.schedule.recipe import Recipe, fine_tune


class TinyNet(LightningModule):
    """Two convolutions and a head with dropout, in the layer groups of a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.early = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.late = nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(8, 3))

    def groups(self) -> dict[str, list[nn.Parameter]]:
        named: dict[str, list[nn.Parameter]] = {}
        for name in ("early", "late", "head"):
            for parameter in getattr(self, name).parameters():
                named.setdefault(f"{name}/{'decay' if parameter.ndim > 1 else 'no_decay'}", []).append(parameter)
        return named

    def freeze_to(self, group: str) -> None:
        for name, parameters in self.groups().items():
            for parameter in parameters:
                parameter.requires_grad_(name.startswith(group))

    def unfreeze(self) -> Self:
        return self.requires_grad_(True)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        logits = self.head(self.late(self.early(batch.images)))
        loss = nn.functional.cross_entropy(logits, batch.targets)
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        logits = self.head(self.late(self.early(batch.images)))
        self.log("valid/loss", nn.functional.cross_entropy(logits, batch.targets))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        groups = [
            {"name": name, "params": parameters, "weight_decay": 0.0 if name.endswith("no_decay") else 0.01}
            for name, parameters in self.groups().items()
        ]
        return torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.99))


class Squares(Dataset[Batch]):
    """Images of noise whose brightest channel is their class."""

    def __init__(self, n: int) -> None:
        rng = torch.Generator().manual_seed(0)
        self.targets = torch.arange(n) % 3
        self.images = 0.5 * torch.rand(n, 3, 8, 8, generator=rng)
        self.images[torch.arange(n), self.targets] += 0.3

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> Batch:
        return Batch(
            self.images[index],
            self.targets[index],
            torch.tensor(index),
            torch.tensor(8.0),
            torch.zeros(N_UNIFORMS),
            torch.tensor(False),
        )


@pytest.fixture
def make_net() -> Callable[[], TinyNet]:
    """Returns networks that are all equal."""

    def build() -> TinyNet:
        torch.manual_seed(0)
        return TinyNet()

    return build


@pytest.fixture
def make_loader() -> Callable[..., DataLoader[Batch]]:
    """Returns a loader of `batches` batches of `size`."""

    def build(batches: int = 4, size: int = 8, **options: Any) -> DataLoader[Batch]:
        return DataLoader(Squares(batches * size), size, **options)

    return build


@pytest.fixture
def make_trainer(tmp_path: Path) -> Callable[..., Trainer]:
    """Returns a trainer on the CPU that prints and writes nothing unless told to."""
    quiet: dict[str, Any] = {
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "default_root_dir": tmp_path,
    }
    return lambda **settings: Trainer(**{**quiet, **settings})


@pytest.fixture
def fit_with(make_net: Any, make_loader: Any, make_trainer: Any) -> Callable[..., Trainer]:
    """Fits after a callback, or without one, from random states that are always the same; returns the trainer."""

    def run(first: Callback | None, recipe: Recipe | None = None, loader: Any = None, **settings: Any) -> Trainer:
        recipe = recipe or fine_tune(epochs=1, freeze_epochs=1, base_lr=0.01)
        net, ckpt_path = settings.pop("net", None) or make_net(), settings.pop("ckpt_path", None)
        random.seed(0)
        np.random.seed(0)
        torch.manual_seed(3)
        callbacks = [*([first] if first else []), OneCycle(recipe), *settings.pop("callbacks", [])]
        trainer: Trainer = make_trainer(max_epochs=recipe.epochs, callbacks=callbacks, **settings)
        train = loader or make_loader(shuffle=True)
        trainer.fit(net, train, make_loader(1), ckpt_path=ckpt_path, weights_only=True)
        return trainer

    return run
