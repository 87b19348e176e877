"""The order of the data as a function of (seed, epoch, rank)."""

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
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


@dataclass(eq=False)
class SeededSampler(Sampler[Request]):
    """Yields the requests of one process: which item, in which epoch.

    Shuffled, for training: a permutation of the epoch; the processes take turns in it, and what would not give each the
    same number is left out of this epoch. Balanced, for training: the same, of as many images that `balanced_order`
    draws. In order, for evaluation: nothing is left out; processes that would get one item fewer repeat an item, marked
    as padding.

    Raises:
        ValueError: There are fewer items to train on than processes.
    """

    n: int
    """Number of items."""
    seed: int = 0
    """Seed of the permutations, 0 or more."""
    _: KW_ONLY
    shuffle: bool = False
    """Whether to shuffle."""
    rank: int = 0
    """Which process this is."""
    world_size: int = 1
    """Number of processes."""
    epoch: int = 0
    """The epoch of the requests; with `shuffle`, that of the first ones."""
    start: Start = BEGINNING
    """The images that this epoch leaves out, because they had their turn. They count in the length."""
    balance: np.ndarray | None = None
    """int64 (n,) classes of the items, to shuffle with each class as often; None: each item once."""

    def __post_init__(self) -> None:
        if self.shuffle and self.n < self.world_size:
            raise UserError(f"{self.n} training images cannot be shared among {self.world_size} processes")

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next shuffle; Lightning calls it. In order, the epoch stays."""
        if self.shuffle:
            self.epoch = epoch

    def __len__(self) -> int:
        return self.n // self.world_size if self.shuffle else -(-self.n // self.world_size)

    def __iter__(self) -> Iterator[Request]:
        order = self._order()
        repeats = np.zeros(self.n, dtype=np.int64) if self.balance is None else _repeats(order)
        done = self.start.images if self.shuffle and self.epoch == self.start.epoch else 0
        for place in range(self.rank + done * self.world_size, len(self) * self.world_size, self.world_size):
            at = place % self.n
            yield Request(self.epoch, int(order[at]), padding=place >= self.n, repeat=int(repeats[at]))

    def _order(self) -> np.ndarray:
        if not self.shuffle:
            return np.arange(self.n)
        rng = generator(self.seed, Stream.ORDER, self.epoch)
        return rng.permutation(self.n) if self.balance is None else balanced_order(self.balance, rng)


def balanced_order(targets: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw as many items as there are, each class as often as any other or once more: int64 (n,) places, shuffled.

    Within a class no item comes up again before all others of it did.

    Args:
        targets: int64 (n,) classes of the items.
        rng: The generator.
    """
    classes, sizes = np.unique(targets, return_counts=True)
    n, n_classes = len(targets), len(classes)
    wanted = np.full(n_classes, n // n_classes)
    wanted[rng.permutation(n_classes)[: n % n_classes]] += 1
    members = np.split(np.argsort(targets, kind="stable"), np.cumsum(sizes)[:-1])
    drawn = []
    for items, count in zip(members, wanted.tolist(), strict=True):
        rounds = [rng.permutation(items) for _ in range(-(-count // len(items)))]
        drawn.append(np.concatenate([items[:0], *rounds])[:count])
    return rng.permutation(np.concatenate(drawn))


def _repeats(order: np.ndarray) -> np.ndarray:
    """Return for each place how often its item stands before it: int64 (n,)."""
    by_item = np.argsort(order, kind="stable")
    items = order[by_item]
    repeats = np.empty(len(order), dtype=np.int64)
    repeats[by_item] = np.arange(len(order)) - np.searchsorted(items, items)
    return repeats
