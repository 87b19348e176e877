"""From a request of the sampler to a presized uint8 sample, and from samples to a batch."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from pets.data.batch import N_UNIFORMS, Batch, Request
from pets.data.cache.resized import ResizedImages
from pets.data.image_table import ImageTable
from pets.data.images import open_image
from pets.data.presize import Presize
from pets.data.rng import Stream, random_uniforms


class Sample(NamedTuple):
    """One item; the fields of `Batch` before stacking."""

    image: Tensor
    target: int
    row: int
    side: Tensor
    uniforms: Tensor
    padding: bool


class ImageDataset(Dataset[Sample]):
    """One part of the image table, decoded and presized.

    Args:
        table: The table of all images.
        indices: int64 (n,) indices into it of the images of this part.
        presize: The item transform.
        seed: The run's seed.
        training: Whether there are random numbers for the augmentation; without, the square is centred and they are 0.
        stream: The purpose of these random numbers.
        cache: The resized images of the whole table; None: each is decoded when it is asked for.
        n_uniforms: Random numbers of an image, at least `N_UNIFORMS`; the first are the same for any number of them.
    """

    def __init__(
        self,
        table: ImageTable,
        indices: np.ndarray,
        presize: Presize,
        seed: int = 0,
        training: bool = False,
        stream: Stream = Stream.AUGMENT,
        cache: ResizedImages | None = None,
        n_uniforms: int = N_UNIFORMS,
    ) -> None:
        self.table = table
        self.indices = indices
        self.presize = presize
        self.seed = seed
        self.training = training
        self.stream = stream
        self.cache = cache
        self.n_uniforms = n_uniforms

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, request: Request | int) -> Sample:
        """Load one image.

        The random numbers depend on the seed, the stream, the epoch, the image's index in the image table, and how
        often the epoch had it before.
        An int, as other samplers yield it (Lightning's under `overfit_batches`), requests the item in epoch 0.

        Raises:
            SampleError: The image cannot be loaded.
        """
        if not isinstance(request, Request):
            request = Request(0, request)
        epoch, place, padding, repeat = request
        row = int(self.indices[place])
        if self.training:
            key = (epoch, row, repeat) if repeat else (epoch, row)
            uniforms = random_uniforms(self.seed, self.stream, *key, n=self.n_uniforms)
        else:
            uniforms = np.zeros(self.n_uniforms, dtype=np.float32)
        resized = self.presize.resize(self.table.load(row, open_image)) if self.cache is None else self.cache[row]
        canvas, side = self.presize.square(resized, float(uniforms[0]) if self.training else None)
        target = int(self.table.targets[row])
        width = torch.tensor(side, dtype=torch.float32)
        return Sample(canvas, target, row, width, torch.from_numpy(uniforms), padding)


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples to a batch."""
    return Batch(*default_collate(list(samples)))
