"""From a request of the sampler to a presized uint8 sample, and from samples to a batch."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from pets.data.batch import N_DRAWS, Batch, Draw
from pets.data.images import open_image
from pets.data.items import Items
from pets.data.positions import Stream, uniforms
from pets.data.presize import Presize
from pets.data.shrunk import ShrunkImages


class Sample(NamedTuple):
    """One item; the fields of `Batch` before stacking."""

    image: Tensor
    target: int
    item: int
    side: Tensor
    draws: Tensor
    padding: bool


class ImageDataset(Dataset[Sample]):
    """One part of the items, decoded and presized.

    Args:
        items: The table of all images.
        indices: int64 (n,) indices into it of the images of this part.
        presize: The item transform.
        seed: The run's seed.
        training: Whether to draw random numbers for the augmentation; without, the square is centred and they are 0.
        stream: The purpose of these random numbers.
        cache: The shrunk images of all items; None: each is decoded when it is asked for.
    """

    def __init__(
        self,
        items: Items,
        indices: np.ndarray,
        presize: Presize,
        seed: int = 0,
        training: bool = False,
        stream: Stream = Stream.AUGMENT,
        cache: ShrunkImages | None = None,
    ) -> None:
        self.items = items
        self.indices = indices
        self.presize = presize
        self.seed = seed
        self.training = training
        self.stream = stream
        self.cache = cache

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
        shrunk = self.presize.shrink(self.items.load(item, open_image)) if self.cache is None else self.cache[item]
        canvas, side = self.presize.square(shrunk, float(draws[0]) if self.training else None)
        target = int(self.items.targets[item])
        width = torch.tensor(side, dtype=torch.float32)
        return Sample(canvas, target, item, width, torch.from_numpy(draws), padding)


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples to a batch."""
    return Batch(*default_collate(list(samples)))
