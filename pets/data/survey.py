"""Inspect every file of a data set once, and list what is odd about it. Nothing is changed."""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from torch import Tensor

from pets import console
from pets.data.duplicates import perceptual_hash
from pets.data.image_table import ImageTable
from pets.data.images import open_image, read_bytes
from pets.data.sources.folder import HEAD_BYTES, examples, sniff

SUFFIXES = {
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "png": (".png",),
    "gif": (".gif",),
    "bmp": (".bmp", ".dib"),
    "webp": (".webp",),
    "tiff": (".tif", ".tiff"),
    "heif": (".heic", ".heif"),
}
"""The suffixes that tell the truth about a content."""
ORIENTATION = 0x0112
FEW = 5
"""A class of fewer images is too small to learn from and to measure on."""
FEW_IMAGES = "few images"
STRATIFIED = "data.split.method=stratified gives every part its share of each class"
MORE = f"a class needs {FEW} images or more to be learned and measured"


@dataclass(frozen=True)
class Facts:
    """What one file holds."""

    file: str
    format: str | None = None
    """By content: jpeg, png, gif, bmp, webp, tiff, heif."""
    width: int = 0
    height: int = 0
    mode: str = "RGB"
    """Pillow's name of the colour model."""
    orientation: int = 1
    """EXIF orientation: 2 to 8 are turned or mirrored, anything else is upright."""
    error: str | None = None
    """Why it cannot be decoded."""
    phash: int | None = None
    """Perceptual hash, 64 bits."""


class Finding(NamedTuple):
    """One oddity of one file."""

    kind: str
    file: str
    detail: str


def survey(root: Path, files: Sequence[str], show_progress: bool = True) -> list[Facts]:
    """Look at every file once.

    Args:
        root: The folder that the files are relative to.
        files: The files.
        show_progress: Whether to show a bar, if on a terminal.

    Raises:
        UserError: The package imagehash is not installed.
    """
    phash = perceptual_hash()
    with console.progress("looking at images", len(files), shown=None if show_progress else False) as bar:
        return [_look(root, file, phash) for file in bar.over(files)]


def _look(root: Path, file: str, phash: Callable[[Tensor], int]) -> Facts:
    path = root / file
    try:
        pixels = open_image(path)
        _, data = read_bytes(path)
        with Image.open(io.BytesIO(data)) as image:
            mode, orientation = image.mode, image.getexif().get(ORIENTATION, 1)
    except (OSError, ValueError) as error:
        return Facts(file, error=str(error).removeprefix(f"{path}: "))
    height, width = pixels.shape[1:]
    return Facts(file, sniff(data[:HEAD_BYTES]), width, height, mode, orientation, None, phash(pixels))


def findings(facts: Iterable[Facts], min_side: int, max_side: int) -> list[Finding]:
    """List what is odd about each file.

    Args:
        facts: What the files hold.
        min_side: A shorter side below this is tiny, in pixels.
        max_side: A longer side above this is huge, in pixels.
    """
    found = []
    for fact in facts:
        if fact.error is not None:
            found.append(Finding("unreadable", fact.file, fact.error))
            continue
        if fact.format and not fact.file.lower().endswith(SUFFIXES[fact.format]):
            found.append(Finding("wrong suffix", fact.file, f"content is {fact.format}"))
        if fact.mode != "RGB":
            found.append(Finding("colour model", fact.file, f"{fact.mode} becomes RGB"))
        if 2 <= fact.orientation <= 8:
            found.append(Finding("EXIF rotation", fact.file, f"orientation {fact.orientation} is applied"))
        if min(fact.width, fact.height) < min_side:
            found.append(Finding("tiny", fact.file, f"{fact.width} x {fact.height}"))
        if max(fact.width, fact.height) > max_side:
            found.append(Finding("huge", fact.file, f"{fact.width} x {fact.height}"))
    return found


def class_findings(table: ImageTable) -> list[Finding]:
    """List the classes with few images, and those with none in a part that has images; the file of each is empty."""
    names = list(table.vocab)
    total = np.bincount(table.targets, minlength=len(names)).tolist()
    found = [Finding(FEW_IMAGES, "", f"{name}: {n}") for name, n in zip(names, total, strict=True) if n < FEW]
    for part, indices in table.split._asdict().items():
        present = set(table.targets[indices].tolist())
        if present:
            found += [Finding(f"none in {part}", "", name) for c, name in enumerate(names) if c not in present]
    return found


def class_advice(found: Iterable[Finding], method: str) -> list[str]:
    """Return what helps against what `class_findings` found.

    Args:
        found: The findings; others are passed over.
        method: The `data.split.method` in force; another one is proposed only in place of a random split, and only for
            classes that have an image for every part.
    """
    few = {finding.detail.rpartition(": ")[0] for finding in found if finding.kind == FEW_IMAGES}
    absent = {finding.detail for finding in found if finding.kind.startswith("none in")}
    advice = [STRATIFIED] if method in ("auto", "random") and absent - few else []
    return [*advice, MORE] if few else advice


def class_warning(found: Sequence[Finding], method: str) -> str | None:
    """Return what `class_findings` found as one line that says what helps; None if it found nothing."""
    kinds: dict[str, list[str]] = {}
    for finding in found:
        kinds.setdefault(finding.kind, []).append(finding.detail)
    told = [f"with {kind}: {examples(names, n=3)}" for kind, names in kinds.items()]
    return f"classes {'; '.join([*told, *class_advice(found, method)])}" if told else None
