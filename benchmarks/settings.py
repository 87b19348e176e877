"""What the command line fixes for every benchmark."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.images import ImageSet


@dataclass(frozen=True)
class Settings:
    """Attributes:
    images: What is read.
    repeats: Rounds that count.
    out: Folder of the report; also holds what a benchmark writes on the way.
    """

    images: ImageSet
    repeats: int
    out: Path
