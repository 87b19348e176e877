"""The data of a run as Lightning wants them: from a source, a labeller and a split to loaders of batches."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from pets.data.batch import Batch, BatchTransform
from pets.data.cache.build import build_cache
from pets.data.cache.resized import ResizedImages
from pets.data.dataset import ImageDataset, Sample
from pets.data.image_table import ImageTable, build_image_table
from pets.data.labels import Vocab
from pets.data.loading import make_loader
from pets.data.manifest import Split, write_manifest
from pets.data.presize import Presize
from pets.data.rng import Stream
from pets.data.sampler import SeededSampler, Start, process_of
from pets.data.sources.folder import ImageSource
from pets.data.splits import SplitRule
from pets.errors import UserError
from pets.settings.data import Cache, Data, Sampler
from pets.settings.parts import Part


class ImageDataModule(LightningDataModule):
    """Labelled images in parts, loaded as uint8 and augmented on the device.

    Works without a Trainer: `data.prepare_data(); data.setup(); data.loader("valid")`.

    Args:
        source: Where the images come from.
        labeller: Labels for a list of files.
        split: How the files are split.
        batch_transform: The transform on the device: `train` for training batches, `evaluate` for all others.
        presize: The item transform.

    The other arguments are the settings of `pets.settings.data.Data`.

    Attributes:
        start: Where the training order continues in a resumed run.
        train_size: Side of the augmented training images in pixels; None: that of the batch transform.

    Raises:
        ValueError: An option is outside its range.
    """

    def __init__(
        self,
        source: ImageSource,
        labeller: Callable[[Sequence[str]], list[str]],
        split: SplitRule,
        batch_transform: BatchTransform,
        *,
        presize: Presize | None = None,
        classes: Iterable[str] | None = None,
        batch_size: int = 64,
        num_workers: int | None = None,
        seed: int = 42,
        sampler: Sampler = "uniform",
        on_error: Literal["raise", "skip"] = "raise",
        exclude: str | Path | None = None,
        relabel: str | Path | None = None,
        cache: Cache = "none",
        features: Cache = "none",
    ) -> None:
        super().__init__()
        classes = None if classes is None else classes if isinstance(classes, str) else list(classes)
        Data(
            classes=classes, batch_size=batch_size, num_workers=num_workers, seed=seed, sampler=sampler,
            on_error=on_error, exclude=exclude, relabel=relabel, cache=cache, features=features,
        )  # fmt: skip
        self.source = source
        self.labeller = labeller
        self.split_rule = split
        self.batch_transform = batch_transform
        self.presize = presize or Presize()
        self.classes = None if classes is None else Vocab(classes)
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.sampler = sampler
        self.on_error = on_error
        self.exclude = exclude
        self.relabel = relabel
        self.cache = cache
        self.features = features
        self.start = Start()
        self.train_size: int | None = None

    def prepare_data(self) -> None:
        """Download or draw the images if they are not there yet."""
        self.source.prepare()

    def setup(self, stage: str | None = None) -> None:
        """List, label and split the images; once, whatever the stage. Raises as `build_image_table`."""
        _ = self.table

    @cached_property
    def table(self) -> ImageTable:
        """All images with their labels and parts."""
        return build_image_table(
            self.source,
            self.labeller,
            self.split_rule,
            classes=self.classes,
            on_error=self.on_error,
            exclude=self.exclude,
            relabel=self.relabel,
            show_progress=self._is_first,
        )

    @property
    def vocab(self) -> Vocab:
        """The classes."""
        return self.table.vocab

    @property
    def splits(self) -> Split:
        """Indices into the table, by part."""
        return self.table.split

    @property
    def left_out(self) -> dict[str, str]:
        """Why images were left out, by file."""
        return self.table.left_out

    @cached_property
    def _cache(self) -> ResizedImages | None:
        return build_cache(self.cache, self.table, self.presize, self._is_first)

    @property
    def _is_first(self) -> bool:
        return self.trainer is None or self.trainer.is_global_zero

    def summary(self) -> str:
        """Say in one line how many images there are, of what, in which parts, and what is not used."""
        return str(self.table)

    def write_manifest(self, path: str | Path) -> None:
        """Write which image is in which part, and which were left out and why, see `manifest.write_manifest`."""
        write_manifest(path, self.table.files.tolist(), self.splits, self.left_out)

    def state_dict(self) -> dict[str, Any]:
        """Return, as plain values, how images are treated: checkpoints carry it for predictions."""
        return {
            "classes": list(self.vocab),
            "presize": asdict(self.presize),
            "size": self.batch_transform.size,
            "interpolation": "bilinear, antialiased",
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Check that a resumed run has the data it started with.

        Raises:
            ValueError: The classes, the presizing or the size differ.
        """
        for key, value in self.state_dict().items():
            if (trained := state_dict.get(key)) != value:
                raise UserError(f"the checkpoint was trained with {key}={trained}, this run has {value}")

    def dataset(
        self, part: Part, *, training: bool = False, stream: Stream = Stream.AUGMENT, cached: bool = True
    ) -> ImageDataset:
        """Return the items of one part; `cached`, they come from the cache, which is built if there is none yet.

        The other arguments and the errors are those of `loader`.
        """
        return ImageDataset(
            self.table, self.table.indices(part), self.presize, self.seed, training, stream,
            self._cache if cached else None, self.batch_transform.n_uniforms,
        )  # fmt: skip

    def loader(
        self,
        part: Part,
        *,
        training: bool = False,
        shuffle: bool = False,
        stream: Stream = Stream.AUGMENT,
        epoch: int = 0,
    ) -> DataLoader[Sample]:
        """Return a loader of one part, or of this process's share of it under a distributed Trainer.

        Its `Batch`es are on the CPU, before the batch transform.

        Args:
            part: `train`, `valid` or `test`.
            training: Whether there are random numbers for the augmentation.
            shuffle: Whether to shuffle, and to drop what would make processes or batches unequal.
            stream: The purpose of the random numbers.
            epoch: The epoch of the random numbers.

        Raises:
            ValueError: The part is unknown or empty, or the Trainer would divide the shares again.
        """
        dataset = self.dataset(part, training=training, stream=stream)
        rank, world_size = process_of(self.trainer)
        sampler = SeededSampler(
            len(dataset), self.seed, shuffle=shuffle, rank=rank, world_size=world_size, epoch=epoch, start=self.start,
            balance=self.table.targets[dataset.indices] if shuffle and self.sampler == "balanced" else None,
        )  # fmt: skip
        return self._load(dataset, sampler, self.batch_size, drop_last=shuffle and len(sampler) >= self.batch_size)

    def rows(self, indices: np.ndarray, batch_size: int) -> DataLoader[Sample]:
        """Return a loader, for this process alone, of images at int64 (n,) indices of the table, as in evaluation."""
        dataset = ImageDataset(self.table, indices, self.presize, self.seed, cache=self._cache)
        return self._load(dataset, None, batch_size)

    def _load(
        self, dataset: ImageDataset, sampler: SeededSampler | None, batch_size: int, drop_last: bool = False
    ) -> DataLoader[Sample]:
        processes = 1 if self.trainer is None else self.trainer.num_devices
        return make_loader(dataset, sampler, batch_size, self.num_workers, processes, drop_last)

    def train_dataloader(self) -> DataLoader[Sample]:
        """Return the shuffled and augmented training part."""
        # Workers fetch ahead of Lightning's first set_epoch, so the order must be that of a resumed run's epoch now.
        return self.loader("train", training=True, shuffle=True, epoch=self.start.epoch)

    def val_dataloader(self) -> DataLoader[Sample]:
        """Return the validation part in order."""
        return self.loader("valid")

    def test_dataloader(self) -> DataLoader[Sample]:
        """Return the test part in order."""
        return self.loader("test")

    def augment(self, batch: Batch) -> Batch:
        """Augment a training batch as its uniforms decide, to images of `train_size`."""
        transform = self.batch_transform
        if self.train_size is not None:
            transform = replace(transform, size=self.train_size)
        return transform.train(batch, len(self.vocab))

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augment a batch of training; treat every other batch as in evaluation, the sanity check's too."""
        if self.trainer is not None and self.trainer.training:
            return self.augment(batch)
        return self.batch_transform.evaluate(batch)


PetsDataModule = ImageDataModule
"""The name of version 0.1."""
