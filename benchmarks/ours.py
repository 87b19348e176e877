"""The side of `pets` in every comparison, built from its own classes with its default settings."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks.rivals import SIZE, WORKERS
from pets.augment.batch import BatchTransform
from pets.callbacks.lr_finder import LRFinder
from pets.data.batch import N_UNIFORMS, Batch
from pets.data.datamodule import ImageDataModule
from pets.data.labels import RegexLabeller
from pets.data.presize import Presize
from pets.data.sources.folder import ImageFolder
from pets.data.splits import SplitRule
from pets.model.classifier import Classifier
from pets.schedule.recipe import fine_tune
from pets.settings.data import Cache

CONF = Path(__file__).parents[1] / "conf"


def data_module(
    root: Path,
    batch_size: int,
    presize: Presize | None = None,
    cache: Cache = "none",
    num_workers: int = WORKERS,
    size: int = SIZE,
) -> ImageDataModule:
    """Return the data module of a folder: 20% validation, default augmentation, as many workers as fastai gets."""
    module = ImageDataModule(
        ImageFolder(root),
        RegexLabeller(),
        SplitRule(),
        BatchTransform(size=size),
        presize=presize,
        batch_size=batch_size,
        num_workers=num_workers,
        cache=cache,
    )
    module.prepare_data()
    module.setup()
    return module


def of_table(root: Path | str, table: Path | str) -> list[str]:
    """Return what is typed for a table of file, label and is_valid."""
    typed = ["data=csv", f"data.root='{root}'", f"data.source.path='{table}'"]
    return [*typed, "data.source.valid_column=is_valid", "data.split.method=column"]


def config(run_dir: Path, overrides: Sequence[str]) -> DictConfig:
    """Return the configuration that `python train.py` would compose, with its run folder at `run_dir`."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", [*overrides, f"run_dir={run_dir.resolve()}"])


def range_test(model: Classifier, data: ImageDataModule, steps: int, folder: Path) -> None:
    """Run the LR range test of the frozen phase on a copy of a model, and no fit after it."""
    finder = LRFinder(num_steps=steps, dirpath=folder, recipe=fine_tune(epochs=1))
    quiet_trainer(callbacks=[finder], epochs=0).fit(model, data)


def drain_items(module: ImageDataModule) -> Callable[[], None]:
    """Return a pass over the uint8 batches of the training part."""
    loader = module.train_dataloader()

    def run() -> None:
        for batch in loader:
            assert batch.images.dtype == torch.uint8

    return run


def drain_batches(module: ImageDataModule) -> Callable[[], None]:
    """Return a pass over the augmented float batches of the training part."""
    loader = module.train_dataloader()

    def run() -> None:
        for batch in loader:
            module.batch_transform.train(batch)

    return run


def first_batch(module: ImageDataModule) -> Batch:
    """Return one uint8 training batch."""
    batch: Batch = next(iter(module.train_dataloader()))
    return batch


def classifier(arch: str, n_classes: int, **options: Any) -> Classifier:
    """Return a classifier without pretrained weights."""
    return Classifier(arch, classes=[str(index) for index in range(n_classes)], weights=None, **options)


def batch_loader(batches: Sequence[tuple[Tensor, Tensor]]) -> DataLoader[Any]:
    """Return a loader of ready-made (float images, targets), as they are after the batch transform."""
    ready: Any = [_batch(images, targets) for images, targets in batches]  # a list is a dataset too
    return DataLoader(ready, batch_size=None)


def _batch(images: Tensor, targets: Tensor) -> Batch:
    n = len(images)
    sides, padding = torch.full((n,), float(images.shape[-1])), torch.zeros(n, dtype=torch.bool)
    others = [field.to(images.device) for field in (torch.arange(n), sides, torch.zeros(n, N_UNIFORMS), padding)]
    return Batch(images, targets, *others)


def quiet_trainer(
    precision: Any = "32-true", callbacks: Sequence[lightning.Callback] = (), epochs: int = 1, **settings: Any
) -> Any:
    """Return a Trainer, on the CPU unless told otherwise, that does nothing but train."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    settings = {"accelerator": "cpu"} | settings
    return lightning.Trainer(
        devices=1,
        max_epochs=epochs,
        precision=precision,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        **settings,
    )
