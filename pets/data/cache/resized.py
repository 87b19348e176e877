"""Resized images of many sizes, in one piece of memory or in one file: what `data.cache` keeps."""

import os
import weakref
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


class PixelFile:
    """The bytes of a file that stays open, read where they are asked for; `file[start:stop]` is uint8 (stop - start,).

    A mapped file would need no copy, and ends the process (SIGBUS) when another program cuts it short.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self.descriptor)

    def __getitem__(self, part: slice) -> Tensor:
        content = bytearray(os.pread(self.descriptor, part.stop - part.start, part.start))
        if len(content) < part.stop - part.start:
            raise SampleError(f"{self.path} was cut short while it was in use: start the run again")
        return torch.frombuffer(content, dtype=torch.uint8)

    def __reduce__(self) -> tuple[Any, ...]:
        return PixelFile, (self.path,)  # another process opens it too


class ResizedImages:
    """The resized images of a table, one after the other, in memory that forked workers share or in one file.

    Args:
        shapes: int32 (n, 2) height and width of each image.
        pixels: uint8 (`offsets_of(shapes)[-1]`,): each image row after row, the three colours of a pixel together.
    """

    def __init__(self, shapes: np.ndarray, pixels: Tensor | PixelFile) -> None:
        self.shapes = shapes
        self.offsets = offsets_of(shapes)
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, index: int) -> Tensor:
        """Return one image as `Presize.resize` does, uint8 (3, H, W), to be read only.

        Raises:
            SampleError: Another program has cut the file short.
        """
        height, width = self.shapes[index].tolist()
        pixels = self.pixels[int(self.offsets[index]) : int(self.offsets[index + 1])]
        return pixels.view(height, width, 3).permute(2, 0, 1)

    def __reduce__(self) -> tuple[Any, ...]:
        return ResizedImages, (self.shapes, self.pixels)


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
