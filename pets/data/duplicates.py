"""Images that look the same: perceptual hashes, pairs of near ones, and the clusters that the pairs make."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from torch import Tensor

from pets import console
from pets.data.images import open_image
from pets.errors import UserError
from pets.settings.run import Check

BLOCK = 1024
"""Rows of the matrix of distances held at once."""


class Pair(NamedTuple):
    """Two files that look the same, and in how many of the 64 bits their hashes differ."""

    first: int
    second: int
    distance: int


def perceptual_hash() -> Callable[[Tensor], int]:
    """Return the function from an image, uint8 (3, H, W), to its hash of 64 bits.

    Raises:
        UserError: The package imagehash is not installed.
    """
    try:
        import imagehash
    except ImportError:
        raise UserError(
            'task=check and data.split.group_by=duplicates need the package imagehash: pip install "pets[check]"'
        ) from None
    return lambda pixels: int(str(imagehash.phash(Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy()))), 16)


def near_duplicates(hashes: np.ndarray, max_distance: int) -> list[Pair]:
    """Return all pairs whose hashes, uint64 (n,), differ in at most `max_distance` bits, the most similar first."""
    pairs = []
    for start in range(0, len(hashes), BLOCK):
        block = hashes[start : start + BLOCK]
        distances = np.bitwise_count(block[:, None] ^ hashes[None, start:])
        rows, columns = np.nonzero(np.triu(distances <= max_distance, k=1))
        pairs += [
            Pair(start + row, start + column, int(distances[row, column]))
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        ]
    return sorted(pairs, key=lambda pair: (pair.distance, pair.first, pair.second))


def clusters(n: int, pairs: Iterable[Pair]) -> np.ndarray:
    """Return which of n items a chain of pairs joins: int64 (n,), the lowest index of each item's cluster."""
    parent = list(range(n))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = item = parent[parent[item]]
        return item

    for pair in pairs:
        low, high = sorted((root(pair.first), root(pair.second)))
        parent[high] = low
    return np.array([root(item) for item in range(n)], dtype=np.int64)


def near_duplicate_groups(root: Path, files: Sequence[str]) -> np.ndarray:
    """Return the cluster of near-duplicates of each file, as `task=check` finds them by default: int64 (n,).

    An image that cannot be decoded is a cluster of its own: `data.on_error` decides what becomes of it.

    Raises:
        UserError: The package imagehash is not installed.
    """
    phash = perceptual_hash()
    readable: list[int] = []
    hashes: list[int] = []
    with console.progress("looking for near-duplicates", len(files)) as bar:
        for place, file in enumerate(bar.over(files)):
            try:
                hashes.append(phash(open_image(root / file)))
            except (OSError, ValueError):
                continue
            readable.append(place)
    pairs = near_duplicates(np.array(hashes, dtype=np.uint64), Check().max_distance)
    groups = np.arange(len(files))
    places = np.array(readable, dtype=np.int64)
    groups[places] = places[clusters(len(places), pairs)]
    return groups
