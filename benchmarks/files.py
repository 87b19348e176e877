"""A million files: from the start of the listing to the first training batch, and the memory that takes.

The files are links to one photograph with names of their own, in memory where the system has such a folder.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import Claim, Table
from benchmarks.images import BREEDS
from benchmarks.processes import answer
from benchmarks.settings import Settings
from pets.machine import SHARED_MEMORY

FILES, ROUNDS = 1_000_000, 3


def measure(settings: Settings) -> Iterator[Table]:
    """Yield the time and the memory."""
    seconds = Table("files_seconds", f"{FILES:,} files: listing, labels, split, first batch", "s")
    memory = Table("files_memory", f"{FILES:,} files: memory that they add to that of the imports", "MB", 0)
    root = Path(tempfile.mkdtemp(prefix="pets_", dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else settings.out))
    try:
        link(settings.images.files[0], root, FILES)
        for _ in range(min(ROUNDS, settings.repeats)):
            told = answer("setup_ours", root, settings.out)
            for name in ("first_batch_seconds", "seconds", "processor_seconds"):
                seconds.measures.setdefault(name, []).append(told[name])
            for name in ("peak_megabytes", "megabytes"):
                memory.measures.setdefault(name, []).append(told[name])
    finally:
        shutil.rmtree(root)
    seconds.claims = [Claim("first_batch_seconds", at_most=30)]
    memory.claims = [Claim("peak_megabytes", at_most=1000)]
    yield from (seconds, memory)


def link(photograph: Path, folder: Path, n: int) -> None:
    """Make n names of one photograph, `Breed_<breed>_<number>.jpg`, in a folder."""
    first = folder / "Breed_0_0.jpg"
    shutil.copyfile(photograph, first)
    for number in range(1, n):
        os.link(first, folder / f"Breed_{number % BREEDS}_{number}.jpg")
