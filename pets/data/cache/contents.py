"""What the photographs of a table hold, without reading again those that nothing has touched since the last time."""

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from pets.data.cache.resized import in_threads
from pets.data.image_table import ImageTable
from pets.data.images import read_bytes
from pets.files import read_text, write_text

DIGEST = 32
SETTLED_NS = 2_000_000_000
"""A file changed less long ago than this may change once more without another time: file systems count in seconds."""

Known = dict[str, tuple[list[int], str]]
"""Digest in hexadecimal, and status, by file."""


def digest(*arrays: np.ndarray) -> np.ndarray:
    """Return uint8 (DIGEST,) of the bytes of arrays."""
    hashed = hashlib.blake2b(digest_size=DIGEST)
    for array in arrays:
        hashed.update(np.ascontiguousarray(array).data)
    return np.frombuffer(hashed.digest(), np.uint8)


def content_digests(table: ImageTable, folder: Path | None, verify: bool = False) -> np.ndarray:
    """Return uint8 (n, DIGEST) of the bytes of each file.

    A file whose size, times of change (of content and of status), device and inode are those in the notes of the last
    call is not read. No program can set the time at which the status changed, so a content that was exchanged behind
    its date is noticed too.

    Args:
        table: The images.
        folder: Where this is noted, a folder that only the user can write to; None: nowhere, all files are read.
        verify: Read all files, whatever the notes say.

    Raises:
        SampleError: A file cannot be read.
    """
    notes = None if folder is None else folder / f"{_of_path(table.root)}.json"
    known = {} if notes is None or verify else _read(notes)
    now = time.time_ns()

    def look(index: int) -> tuple[list[int], str]:
        file = str(table.files[index])
        status = status_of(table.path(index))
        if file in known and known[file][0] == status:
            return known[file]
        content = table.load(index, lambda path: digest(np.frombuffer(read_bytes(path)[1], np.uint8)))
        return status, content.tobytes().hex()

    found = in_threads(look, len(table))
    settled = {str(file): entry for file, entry in zip(table.files, found, strict=True) if is_settled(entry[0], now)}
    if notes is not None and settled != known:
        with suppress(Timeout), FileLock(notes.with_suffix(".lock"), timeout=0):  # another process notes the same
            write_text(notes, json.dumps(settled))
    return np.frombuffer(bytes.fromhex("".join(content for _, content in found)), np.uint8).reshape(-1, DIGEST)


def _of_path(path: Path) -> str:
    return hashlib.blake2b(os.fsencode(os.path.realpath(path)), digest_size=16).hexdigest()


def status_of(file: Path | int) -> list[int]:
    """Return size, times of change (of content and of status), device and inode of a path or an open file."""
    try:
        status = os.stat(file)
    except OSError:
        return []  # who reads it says so
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_dev, status.st_ino]


def is_settled(status: list[int], now: int) -> bool:
    """Whether a later change would show in the status; `now` is the time in ns before the content was read."""
    return max(status[1:3]) < now - SETTLED_NS


def _read(notes: Path) -> Known:
    try:
        return {file: (list(status), str(content)) for file, (status, content) in json.loads(read_text(notes)).items()}
    except (OSError, ValueError, TypeError, AttributeError):  # none yet, or damaged: all is read again
        return {}
