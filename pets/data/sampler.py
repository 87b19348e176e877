"""The order of the data as a function of (seed, epoch, rank)."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from lightning import Trainer
from torch.utils.data import Sampler

from pets import private_api
from pets.data.batch import Request
from pets.data.rng import Stream, generator
from pets.errors import UserError


class Start(NamedTuple):
    """Where a run resumes: how many images of this epoch a process is done with."""

    epoch: int = 0
    images: int = 0


BEGINNING = Start()


def process_of(trainer: Trainer | None) -> tuple[int, int]:
    """Return the rank of this process and the number of processes that share the images.

    Raises:
        ValueError: The trainer would divide the shares again.
    """
    if trainer is None or trainer.world_size == 1:
        return 0, 1
    if private_api.uses_distributed_sampler(trainer):
        raise UserError(
            "trainer.use_distributed_sampler=true must be false: the data module gives every process its share"
        )
    return trainer.global_rank, trainer.world_size


class SeededSampler(Sampler[Request]):
    """Yields the requests of one process: which item, in which epoch.

    Shuffled, for training: a permutation of the epoch; the processes take turns in it, and what would not give each the
    same number is left out of this epoch. In order, for evaluation: nothing is left out; processes that would get one
    item fewer repeat an item, marked as padding.

    Args:
        n: Number of items.
        seed: Seed of the permutations, 0 or more.
        shuffle: Whether to shuffle.
        rank: Which process this is.
        world_size: Number of processes.
        epoch: The epoch of the requests; with `shuffle`, that of the first ones.
        start: The images that this epoch leaves out, because they had their turn. They count in the length.

    Raises:
        ValueError: There are fewer items to train on than processes.
    """

    def __init__(
        self,
        n: int,
        seed: int = 0,
        *,
        shuffle: bool = False,
        rank: int = 0,
        world_size: int = 1,
        epoch: int = 0,
        start: Start = BEGINNING,
    ) -> None:
        if shuffle and n < world_size:
            raise UserError(f"{n} training images cannot be shared among {world_size} processes")
        self.n = n
        self.seed = seed
        self.shuffle = shuffle
        self.rank = rank
        self.world_size = world_size
        self.epoch = epoch
        self.start = start

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next shuffle; Lightning calls it. In order, the epoch stays."""
        if self.shuffle:
            self.epoch = epoch

    def __len__(self) -> int:
        return self.n // self.world_size if self.shuffle else -(-self.n // self.world_size)

    def __iter__(self) -> Iterator[Request]:
        if self.shuffle:
            order = generator(self.seed, Stream.ORDER, self.epoch).permutation(self.n)
        else:
            order = np.arange(self.n)
        done = self.start.images if self.shuffle and self.epoch == self.start.epoch else 0
        for place in range(self.rank + done * self.world_size, len(self) * self.world_size, self.world_size):
            yield Request(self.epoch, int(order[place % self.n]), padding=place >= self.n)
