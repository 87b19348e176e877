"""From a request of the sampler to a presized uint8 sample, and from samples to a batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from pets.data.batch import N_DRAWS, Batch, Draw
from pets.data.images import open_image
from pets.data.labels import Vocab
from pets.data.positions import Stream, uniforms
from pets.data.presize import Presize


@dataclass(frozen=True, eq=False)
class Items:
    """The table of all labelled images.

    Arrays and no lists: the reference counts of Python objects would copy the table into each worker, page by page.
    """

    root: Path
    files: np.ndarray
    """Unicode (n,) POSIX paths relative to `root`."""
    targets: np.ndarray
    """int64 (n,) class indices."""
    vocab: Vocab

    def __len__(self) -> int:
        return len(self.files)

    def path(self, index: int) -> Path:
        """Return the path of one image."""
        return self.root / str(self.files[index])


class Sample(NamedTuple):
    """One item; the fields of `Batch` before stacking."""

    image: Tensor
    target: int
    item: int
    side: Tensor
    draws: Tensor
    padding: bool


class SampleError(ValueError):
    """An image that cannot be loaded; the message names the file, in one line."""

    def __init__(self, message: str) -> None:
        # A DataLoader re-raises what a worker raised with the worker's whole traceback as the message.
        last_line = message.rstrip().rsplit("\n", 1)[-1]
        super().__init__(last_line.removeprefix(f"{type(self).__module__}.{type(self).__qualname__}: "))


class ImageDataset(Dataset[Sample]):
    """One part of the items, decoded and presized.

    Args:
        items: The table of all images.
        indices: int64 (n,) indices into it of the images of this part.
        presize: The item transform.
        seed: The run's seed.
        training: Whether to draw random numbers for the augmentation; without, the square is centred and they are 0.
        stream: The purpose of these random numbers.
    """

    def __init__(
        self,
        items: Items,
        indices: np.ndarray,
        presize: Presize,
        seed: int = 0,
        training: bool = False,
        stream: Stream = Stream.AUGMENT,
    ) -> None:
        self.items = items
        self.indices = indices
        self.presize = presize
        self.seed = seed
        self.training = training
        self.stream = stream

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, draw: Draw | int) -> Sample:
        """Load one image.

        The random numbers depend on the seed, the stream, the epoch and the image's index in the table of items alone.
        An int, as other samplers yield it (Lightning's under `overfit_batches`), requests the item in epoch 0.

        Raises:
            SampleError: The image cannot be loaded.
        """
        if not isinstance(draw, Draw):
            draw = Draw(0, draw)
        epoch, position, padding = draw
        item = int(self.indices[position])
        if self.training:
            draws = uniforms(self.seed, self.stream, epoch, item, n=N_DRAWS)
        else:
            draws = np.zeros(N_DRAWS, dtype=np.float32)
        try:
            image = open_image(self.items.path(item))
        except (OSError, ValueError) as error:
            raise SampleError(str(error)) from error
        canvas, side = self.presize(image, float(draws[0]) if self.training else None)
        target = int(self.items.targets[item])
        width = torch.tensor(side, dtype=torch.float32)
        return Sample(canvas, target, item, width, torch.from_numpy(draws), padding)


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples to a batch."""
    return Batch(*default_collate(list(samples)))
