"""`data.cache`: images resized once for all epochs, or for all runs, so that none is decoded twice."""

import hashlib
import json
import logging
import shutil
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np
import PIL
import torch
import torchvision
from filelock import FileLock

from pets.data.cache.contents import DIGEST, content_digests, digest, is_settled, status_of
from pets.data.cache.folder import believed, user_folder
from pets.data.cache.resized import SIDES, PixelFile, ResizedImages, in_threads, offsets_of, resized_image, shapes_of
from pets.data.image_table import ImageTable
from pets.data.presize import Presize
from pets.files import read_text, replacing, write_text

FORMAT = 1
"""Of the file: pixels, shapes, digest."""

_log = logging.getLogger(__name__)


def build_cache(
    kind: str, table: ImageTable, presize: Presize, show_progress: bool = False, verify: bool = False
) -> ResizedImages | None:
    """Resize all images, or find them on the disk, and say so in one line.

    Args:
        kind: `none`; `ram`: in the memory of this process, so that several on a machine decode and hold them each;
            `disk`: in a file of the user's cache folder, which one process writes and all map.
        table: The images.
        presize: What resizes them.
        show_progress: Whether to show a bar, if on a terminal.
        verify: Read every photograph and all that is kept on the disk, even where no status has changed since the
            last time.

    Raises:
        SampleError: An image cannot be loaded.
        ValueError: The folder of the cache cannot be written to, or there is too little room in it.
    """
    if kind == "none":
        return None
    started = time.perf_counter()
    if kind == "ram":
        images, reused = _in_ram(table, presize, show_progress), False
    else:
        images, reused = _on_disk(table, presize, show_progress, verify)
    how = "reused" if reused else f"built in {time.perf_counter() - started:.1f} s"
    _log.info("cache: %s images, %s MB, %s", f"{len(images):,}", f"{images.offsets[-1] / 1e6:,.0f}", how)
    return images


def _in_ram(table: ImageTable, presize: Presize, show_progress: bool) -> ResizedImages:
    shapes = shapes_of(table, presize)
    images = ResizedImages(shapes, torch.empty(int(offsets_of(shapes)[-1]), dtype=torch.uint8))

    def store(index: int) -> None:
        images[index].copy_(resized_image(table, presize, index, shapes[index]))

    in_threads(store, len(table), show_progress)
    return images


def _on_disk(table: ImageTable, presize: Presize, show_progress: bool, verify: bool) -> tuple[ResizedImages, bool]:
    """Return the images, and whether their file was there already."""
    folder = images_folder()
    with believed(folder, "data.cache"):
        path = folder / f"{_key(table, presize, folder, verify)}.bin"
        if images := _read(path, len(table), verify):
            return images, True
        with FileLock(path.with_suffix(".lock")):
            if images := _read(path, len(table), verify):  # another run has written it in the meantime
                return images, True
            if path.exists():
                _log.warning("cache: %s is damaged and built anew", path)
            shapes = shapes_of(table, presize)
            _write(path, shapes, table, presize, show_progress)
            return ResizedImages(shapes, PixelFile(path)), False


def _write(path: Path, shapes: np.ndarray, table: ImageTable, presize: Presize, show_progress: bool) -> None:
    """Write the file under another name, and give it its own once it is whole.

    A file that another process reads is never written to, only replaced.
    """
    offsets = offsets_of(shapes)
    needed, free = offsets[-1] + shapes.nbytes + DIGEST, shutil.disk_usage(path.parent).free
    if needed > free:
        raise OSError(f"it needs {needed / 1e6:,.0f} MB, {free / 1e6:,.0f} MB are free")
    digests = np.empty((len(shapes), DIGEST), np.uint8)
    turn = threading.Lock()
    with replacing(path, sync=True) as file:

        def store(index: int) -> None:
            pixels = resized_image(table, presize, index, shapes[index]).permute(1, 2, 0).numpy()
            digests[index] = digest(pixels)
            with turn:
                file.seek(offsets[index])
                file.write(pixels.data)

        in_threads(store, len(table), show_progress)
        file.seek(offsets[-1])
        file.write(shapes.data)
        file.write(digest(shapes, digests).data)


def _read(path: Path, n: int, verify: bool) -> ResizedImages | None:
    """Open the file of n images; None if there is none, or if a byte of it is not what was written.

    The bytes are read once, and again when the status of the file is not that which was noted then: a run need not
    read gigabytes before its first batch. No program can set the time at which a status changed.
    """
    if not path.is_file():
        return None
    file, now = PixelFile(path), time.time_ns()
    status = status_of(file.descriptor)
    size, tail = status[0], SIDES.itemsize * 2 * n + DIGEST
    if size < tail:
        return None
    end = file[size - tail : size].numpy().tobytes()
    shapes, written = np.frombuffer(end[:-DIGEST], SIDES).reshape(n, 2), end[-DIGEST:]
    if (shapes < 1).any() or offsets_of(shapes)[-1] != size - tail:
        return None
    images = ResizedImages(shapes, file)
    note = path.with_suffix(".verified")
    if not verify and _noted(note) == status:
        return images
    digests = in_threads(lambda index: digest(images[index].permute(1, 2, 0).numpy()), n)
    if digest(shapes, np.stack(digests)).tobytes() != written:
        return None
    if is_settled(status, now):
        with suppress(OSError):  # another process notes the same
            write_text(note, json.dumps(status))
    return images


def _noted(note: Path) -> object:
    try:
        return json.loads(read_text(note))
    except (OSError, ValueError):  # none yet, or damaged
        return None


def _key(table: ImageTable, presize: Presize, folder: Path, verify: bool) -> str:
    """Return what names a cache: the contents of its files, how they are resized, and which releases decode them."""
    settings = (FORMAT, asdict(presize), torch.__version__, torchvision.__version__, PIL.__version__)
    contents = content_digests(table, folder, verify)
    return hashlib.blake2b(repr(settings).encode() + contents.tobytes(), digest_size=16).hexdigest()


def images_folder() -> Path:
    """Return the folder of cached images; digests of photographs are noted there too."""
    return user_folder("images", "data.cache")
