"""The table of all labelled images, and the way to one of its files."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from pets.data.labels import Vocab

T = TypeVar("T")


class SampleError(ValueError):
    """An image that cannot be loaded; the message names the file, in one line."""

    def __init__(self, message: str) -> None:
        # A DataLoader re-raises what a worker raised with the worker's whole traceback as the message.
        last_line = message.rstrip().rsplit("\n", 1)[-1]
        super().__init__(last_line.removeprefix(f"{type(self).__module__}.{type(self).__qualname__}: "))


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

    def load(self, index: int, read: Callable[[Path], T]) -> T:
        """Return what a function such as `open_image` makes of the path of one image.

        Raises:
            SampleError: It fails.
        """
        try:
            return read(self.path(index))
        except (OSError, ValueError) as error:
            raise SampleError(str(error)) from error
