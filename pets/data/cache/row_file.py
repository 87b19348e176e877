"""Rows of numbers in a file, each under the digest of what it was computed from; a killed writer loses nothing."""

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
from filelock import FileLock, Timeout

from pets.data.cache.contents import DIGEST

ROW = np.dtype("<f4")
"""Of a number in a file."""

log = logging.getLogger(__name__)


class Rows(Protocol):
    """Rows float32 (F,) by the digest, uint8 (DIGEST,), of what they were computed from."""

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Let nobody else append in the block; `read` again in it, for what was appended until then."""
        yield

    def read(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return float32 (n, F) and, bool (n,), which of them are known, for uint8 (n, DIGEST)."""

    def append(self, keys: np.ndarray, rows: np.ndarray) -> None:
        """Add float32 (n, F) under uint8 (n, DIGEST)."""


class MemoryRows(Rows):
    """Rows in the memory of this process.

    Args:
        width: Numbers a row.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self._rows: dict[bytes, np.ndarray] = {}

    def read(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Rows`."""
        found = [self._rows.get(key.tobytes()) for key in keys]
        rows = np.zeros((len(keys), self.width), np.float32)
        for place, row in enumerate(found):
            if row is not None:
                rows[place] = row
        return rows, np.array([row is not None for row in found], bool)

    def append(self, keys: np.ndarray, rows: np.ndarray) -> None:
        """See `Rows`."""
        self._rows |= {key.tobytes(): row.copy() for key, row in zip(keys, rows, strict=True)}


class RowFile(Rows):
    """Rows in a file that grows at its end: each record is key, row and a digest of both, and is written in one piece.

    What follows the first record that is not whole, as a killed writer or a full disk leaves it, does not count and is
    cut off before the next record is added. Others may read while one appends.

    Args:
        path: The file, there already or not; its folder exists.
        width: Numbers a row.
    """

    def __init__(self, path: Path, width: int) -> None:
        self.path = path
        self.width = width
        self.size = DIGEST + ROW.itemsize * width + DIGEST
        self._whole = 0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """See `Rows`; waits for another process that has its turn."""
        lock = FileLock(self.path.with_suffix(".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("waiting for another run, which computes the same: %s", self.path)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def read(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Rows`.

        Raises:
            OSError: The file cannot be read, or is a link.
        """
        places: dict[bytes, list[int]] = {}
        for place, key in enumerate(keys):
            places.setdefault(key.tobytes(), []).append(place)
        rows = np.zeros((len(keys), self.width), np.float32)
        found = np.zeros(len(keys), bool)
        self._whole = 0
        if not self.path.exists() and not self.path.is_symlink():
            return rows, found
        with open(self.path, "rb", opener=_without_links) as file:
            while len(record := file.read(self.size)) == self.size and _check(record[:-DIGEST]) == record[-DIGEST:]:
                for place in places.get(record[:DIGEST], ()):
                    rows[place], found[place] = np.frombuffer(record[DIGEST:-DIGEST], ROW), True
                self._whole += self.size
        return rows, found

    def append(self, keys: np.ndarray, rows: np.ndarray) -> None:
        """See `Rows`; in a turn, after a `read` in it.

        Raises:
            OSError: The disk is full, or the file is a link.
        """
        contents = (key.tobytes() + row.astype(ROW).tobytes() for key, row in zip(keys, rows, strict=True))
        records = b"".join(content + _check(content) for content in contents)
        with open(self.path, "r+b", opener=_without_links) as file:
            if file.seek(0, os.SEEK_END) - self._whole >= self.size:  # more than what a killed writer leaves
                log.warning("%s is damaged: what follows the damage is computed anew", self.path)
            file.truncate(self._whole)
            file.seek(self._whole)
            file.write(records)
        self._whole += len(records)


def _without_links(path: str, flags: int) -> int:
    create = os.O_CREAT if flags & os.O_RDWR else 0
    return os.open(path, flags | create | getattr(os, "O_NOFOLLOW", 0), 0o600)


def _check(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGEST).digest()
