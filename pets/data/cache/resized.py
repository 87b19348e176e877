"""Resized images of many sizes in one piece of memory: what `data.cache` keeps."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from pets import console, machine
from pets.data.image_table import ImageTable, SampleError
from pets.data.images import image_shape, open_image
from pets.data.presize import Presize

SIDES = np.dtype("<i4")
"""Of heights and widths, in memory as in a file."""

T = TypeVar("T")


class ResizedImages:
    """The resized images of a table, one after the other in one piece of memory, which forked workers share.

    Args:
        shapes: int32 (n, 2) height and width of each image.
        pixels: uint8 (`offsets_of(shapes)[-1]`,): each image row after row, the three colours of a pixel together.
        path: The file that `pixels` is mapped from, if any: another process maps it too instead of receiving a copy.
    """

    def __init__(self, shapes: np.ndarray, pixels: Tensor, path: Path | None = None) -> None:
        self.shapes = shapes
        self.offsets = offsets_of(shapes)
        self.pixels = pixels
        self.path = path

    @classmethod
    def mapped(cls, shapes: np.ndarray, path: Path) -> "ResizedImages":
        """Map a file that begins with the pixels; its pages are those of all processes of the machine."""
        size = int(offsets_of(shapes)[-1])
        return cls(shapes, torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8), path)

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, index: int) -> Tensor:
        """Return one image as `Presize.resize` does, uint8 (3, H, W): a view, to be read only."""
        height, width = self.shapes[index].tolist()
        pixels = self.pixels[self.offsets[index] : self.offsets[index + 1]]
        return pixels.view(height, width, 3).permute(2, 0, 1)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.path is None:
            return ResizedImages, (self.shapes, self.pixels)
        return ResizedImages.mapped, (self.shapes, self.path)


def offsets_of(shapes: np.ndarray) -> np.ndarray:
    """Return int64 (n + 1,) where each image begins, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(3 * shapes.astype(np.int64).prod(axis=1))])


def shapes_of(table: ImageTable, presize: Presize) -> np.ndarray:
    """Return int32 (n, 2) height and width of all images once they are resized, from the headers of their files.

    Raises:
        SampleError: A header cannot be read.
    """

    def shape(path: Path) -> tuple[int, int]:
        return presize.resized_shape(*image_shape(path))

    return np.array(in_threads(lambda index: table.load(index, shape), len(table)), SIDES)


def resized_image(table: ImageTable, presize: Presize, index: int, shape: np.ndarray) -> Tensor:
    """Load and resize one image.

    Raises:
        SampleError: It cannot be decoded, or not to the shape that its header told.
    """
    image = presize.resize(table.load(index, open_image))
    if list(image.shape[1:]) != shape.tolist():
        raise SampleError(f"{table.path(index)}: its header tells another size than its pixels; use data.cache=none")
    return image


def in_threads(task: Callable[[int], T], n: int, show_progress: bool = False) -> list[T]:
    """Return what a task makes of 0 to n - 1; decoding, hashing and reading leave the interpreter to other threads."""
    with ThreadPoolExecutor(machine.available_cores()) as pool:
        results = pool.map(task, range(n))
        with console.progress("caching images", n, shown=None if show_progress else False) as bar:
            return list(bar.over(results))
