"""From a folder to a sorted list of the images in it, told by content; what is ignored is counted."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from pets.errors import UserError
from pets.files import open_regular
from pets.settings.data import Folder

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"})
HEIF_SUFFIXES = frozenset({".heic", ".heif"})
READS_HEIF = find_spec("pillow_heif") is not None
WITHOUT_HEIF = 'HEIC is read with the package pillow-heif: pip install "pets[heic]"'
HEAD_BYTES = 32
"""How much of a file `sniff` needs to see."""

_MAGIC = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
)
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_BMP_HEADER_SIZES = frozenset({12, 40, 52, 56, 64, 108, 124})


def examples(names: Iterable[str], n: int = 5) -> str:
    """Quote the first `n` names, for an error message."""
    names = list(names)
    return ", ".join(repr(name) for name in names[:n]) + (", ..." if len(names) > n else "")


def sniff(head: bytes) -> str | None:
    """Name the format of a file by its first `HEAD_BYTES` bytes: jpeg, png, gif, bmp, webp, tiff, heif, or None."""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return "heif"
    # "BM" alone also begins ordinary text.
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "bmp"
    return None


@dataclass(frozen=True)
class Listing:
    """The images of a folder."""

    files: tuple[str, ...]
    """POSIX paths relative to the root, sorted as plain strings."""
    ignored: dict[str, int] = field(default_factory=dict)
    """How many entries were left out, by suffix or reason."""

    def __str__(self) -> str:
        text = f"{len(self.files):,} images"
        if self.ignored:
            text += "; ignored: " + ", ".join(f"{count} {reason}" for reason, count in sorted(self.ignored.items()))
        return text


class ImageSource(Protocol):
    """Where images come from."""

    @property
    def root(self) -> Path:
        """The folder that the listed paths are relative to."""

    def prepare(self) -> None:
        """Make the files exist. Safe to call from several processes at once."""

    def listing(self) -> Listing:
        """List the images."""

    def official(self) -> dict[str, list[str]]:
        """Return the files of each part (train, valid, test) of the split that comes with the data.

        Raises:
            ValueError: No split comes with the data.
        """


class ImageFolder:
    """A folder of images.

    Args:
        root: The folder; `~` is expanded.
        recursive: Whether to look into folders inside it.
    """

    def __init__(self, root: str | Path, recursive: bool = True) -> None:
        Folder(root, recursive)
        self.root = Path(root).expanduser()
        self.recursive = recursive

    def prepare(self) -> None:
        """Do nothing: the files are there, or `listing` says that they are not."""

    def listing(self) -> Listing:
        """List the images, see `list_images`."""
        return list_images(self.root, self.recursive)

    def official(self) -> dict[str, list[str]]:
        """Raise: no split comes with a plain folder."""
        raise UserError(
            "data.split.method=official: no official split comes with these images; use random, stratified or column"
        )


def list_images(root: str | Path, recursive: bool = True, key: str = "data.root") -> Listing:
    """List the images of a folder in an order that does not depend on the file system.

    A file is an image if its suffix says so, even when it is empty or broken: opening it then reports the error with
    its path, instead of the file silently missing from the data. Files without such a suffix count by their content.
    Links are followed, except into a folder that contains them. Errors name `root` by its `key` in the configuration.

    Raises:
        FileNotFoundError: The folder does not exist or holds no image.
        NotADirectoryError: `root` is not a folder.
    """
    root = Path(root).expanduser()
    if not root.exists():
        raise FileNotFoundError(f"{key}={root} does not exist")
    if not root.is_dir():
        raise NotADirectoryError(f"{key}={root} is not a folder")
    ignored: Counter[str] = Counter()
    files = tuple(sorted(_walk(str(root), "", recursive, frozenset(), ignored)))
    listing = Listing(files, dict(ignored))
    if not files:
        raise FileNotFoundError(f"{key}={root} holds no image ({listing})")
    return listing


def _walk(
    folder: str, prefix: str, recursive: bool, ancestors: frozenset[tuple[int, int]], ignored: Counter[str]
) -> Iterator[str]:
    status = os.stat(folder)
    ancestors |= {(status.st_dev, status.st_ino)}
    with os.scandir(folder) as entries:
        for entry in entries:
            reason = _reason_to_ignore(entry, recursive, ancestors)
            if reason is not None:
                ignored[reason] += 1
            elif _holds(entry.is_dir):
                yield from _walk(entry.path, f"{prefix}{entry.name}/", recursive, ancestors, ignored)
            else:
                yield prefix + entry.name


def _reason_to_ignore(entry: "os.DirEntry[str]", recursive: bool, ancestors: frozenset[tuple[int, int]]) -> str | None:
    """Say why an entry is not listed or walked into; None if it is.

    Of a file with the suffix of an image the folder tells all that is needed: a million of them take seconds.
    """
    name = entry.name
    if name.startswith("."):
        return "AppleDouble" if name.startswith("._") else "hidden"
    if _holds(entry.is_dir):
        status = os.stat(entry.path)
        if (status.st_dev, status.st_ino) in ancestors:
            return "link to a folder around it"
        return None if recursive else "folder"
    is_file = _holds(entry.is_file)
    is_broken_link = not is_file and not os.path.exists(entry.path)
    if not is_broken_link and not is_file:
        return "special file"
    suffix = _suffix(name)
    if suffix in IMAGE_SUFFIXES or (READS_HEIF and suffix in HEIF_SUFFIXES):
        return None
    if suffix in HEIF_SUFFIXES:
        return f"{suffix} ({WITHOUT_HEIF})"
    return "broken link" if is_broken_link else _reason_in_content(entry.path, suffix)


def _suffix(name: str) -> str:
    """Return the suffix of a file's name in lower case, as pathlib tells it, which takes longer."""
    stem, _, last = name.rpartition(".")
    return f".{last.lower()}" if stem and last else ""


def _holds(question: Callable[[], bool]) -> bool:
    """Answer `is_dir` or `is_file` of an entry as `os.path` does: no, where a link cannot be followed."""
    try:
        return question()
    except OSError:
        return False


def _reason_in_content(path: str, suffix: str) -> str | None:
    try:
        with open_regular(path) as file:
            head = file.read(HEAD_BYTES)
    except (OSError, ValueError):
        return "unreadable"
    if not head:
        return "empty"
    kind = sniff(head)
    if kind == "heif" and not READS_HEIF:
        return f"{suffix or 'without suffix'} ({WITHOUT_HEIF})"
    # A camera's raw format is a TIFF inside; read as one it would give its thumbnail.
    is_raw = kind == "tiff" and suffix != ""
    return None if kind and not is_raw else suffix or "without suffix"
