"""The image table: every image of a data set with its label and its part, and which files were left out and why."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from pets import console
from pets.data.images import open_image
from pets.data.labels import Vocab
from pets.data.manifest import Split
from pets.data.sources.folder import ImageSource, examples
from pets.data.sources.table import CsvTable
from pets.data.splits import SplitRule
from pets.errors import UserError
from pets.escape import from_cell
from pets.files import read_text
from pets.settings.parts import PARTS, Part

T = TypeVar("T")


class SampleError(UserError):
    """An image that cannot be loaded; the message names the file, in one line."""

    def __init__(self, message: str) -> None:
        # A DataLoader re-raises what a worker raised with the worker's whole traceback as the message.
        last_line = message.rstrip().rsplit("\n", 1)[-1]
        super().__init__(last_line.removeprefix(f"{type(self).__module__}.{type(self).__qualname__}: "))


def _no_parts() -> Split:
    return Split(*(np.empty(0, dtype=np.int64) for _ in PARTS))


@dataclass(frozen=True, eq=False)
class ImageTable:
    """All labelled images of a data set, and the parts that they are split into.

    Arrays and no lists: the reference counts of Python objects would copy the table into each worker, page by page.
    """

    root: Path
    files: np.ndarray
    """Unicode (n,) POSIX paths relative to `root`."""
    targets: np.ndarray
    """int64 (n,) class indices."""
    vocab: Vocab
    split: Split = field(default_factory=_no_parts)
    """Indices into `files`, by part."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Why images were left out, by file."""
    ignored: dict[str, int] = field(default_factory=dict)
    """How many entries of the folder are not images, by suffix or reason."""

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
            raise SampleError(f"{error}; data.on_error=skip leaves such images out, task=check lists them") from error

    def indices(self, part: Part) -> np.ndarray:
        """Return the indices of one part.

        Raises:
            ValueError: The part is unknown or empty.
        """
        if part not in PARTS:
            raise UserError(f"part={part!r} must be one of {', '.join(PARTS)}")
        indices: np.ndarray = getattr(self.split, part)
        if not len(indices):
            raise UserError(
                f"the part {part!r} is empty; data.split.test_pct or data.split.method=official fills 'test'"
            )
        return indices

    def __str__(self) -> str:
        sizes = ", ".join(f"{len(indices):,} {part}" for part, indices in self.split._asdict().items() if len(indices))
        text = f"{len(self):,} images of {len(self.vocab)} classes in {self.root}: {sizes}"
        if self.left_out:
            text += f"; left out: {len(self.left_out):,}"
        if self.ignored:
            text += "; ignored: " + ", ".join(f"{count:,} {reason}" for reason, count in sorted(self.ignored.items()))
        return text


def build_image_table(
    source: ImageSource,
    labeller: Callable[[Sequence[str]], list[str]],
    rule: SplitRule,
    *,
    classes: Vocab | None = None,
    on_error: str = "raise",
    exclude: str | Path | None = None,
    relabel: str | Path | None = None,
    show_progress: bool = False,
) -> ImageTable:
    """List, label and split the images of a source; the arguments are those of `ImageDataModule`.

    Raises:
        FileNotFoundError: Something named in the configuration does not exist.
        ValueError: The files, their labels or the split are not as they should be.
    """
    listing = source.listing()
    left_out = {} if exclude is None else read_excluded(exclude, listing.files)
    files = [file for file in listing.files if file not in left_out]
    if not files:
        raise UserError(f"data.exclude={exclude} leaves none of {len(listing.files):,} images")
    labels = {} if relabel is None else read_relabelled(relabel, source.root, files)
    others = [file for file in files if file not in labels]
    labels |= zip(others, labeller(others), strict=True)  # a relabelled file needs no label of its own
    if on_error == "skip":
        left_out |= find_undecodable(source.root, files, show_progress)
        files = [file for file in files if file not in left_out]
    vocab = classes or Vocab.from_labels(labels[file] for file in files)
    targets = vocab.encode([labels[file] for file in files])
    split = rule(files, targets, vocab.classes, source, left_out)
    return ImageTable(source.root, np.array(files), targets, vocab, split, left_out, listing.ignored)


def read_excluded(path: str | Path, files: Iterable[str]) -> dict[str, str]:
    """Read the files to leave out from the column `file` of a CSV file; return the reason for each.

    Raises:
        FileNotFoundError: There is no such CSV file.
        ValueError: It is no CSV file, has no column `file`, or names a file that the data do not have.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"data.exclude={path} does not exist or is not a file")
    try:
        with io.StringIO(read_text(path, "utf-8-sig"), newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = list(reader.fieldnames or ())
            names = [from_cell(row.get("file") or "") for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"data.exclude={path} is no CSV file in UTF-8: {error}") from error
    if "file" not in columns:
        raise UserError(f"data.exclude={path} has no column 'file'; its columns: {examples(columns)}")
    _check_known(f"data.exclude={path}", names, files)
    return dict.fromkeys(names, f"excluded by {path.name}")


def read_relabelled(path: str | Path, root: Path, files: Iterable[str]) -> dict[str, str]:
    """Read new labels from the columns `file` and `label` of a CSV file.

    Raises:
        FileNotFoundError: There is no such CSV file.
        ValueError: It is not such a table, or names a file that the data do not have.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"data.relabel={path} does not exist or is not a file")
    labels = CsvTable(path, root).labels()
    _check_known(f"data.relabel={path}", labels, files)
    return labels


def _check_known(origin: str, names: Iterable[str], files: Iterable[str]) -> None:
    unknown = sorted(set(names) - set(files))
    if unknown:
        raise UserError(f"{origin} names {len(unknown):,} files that are not in the data: {examples(unknown)}")


def find_undecodable(root: Path, files: Sequence[str], show_progress: bool = True) -> dict[str, str]:
    """Decode every image once; return the reason for each that cannot be decoded.

    Args:
        root: The folder that the files are relative to.
        files: The files.
        show_progress: Whether to show a bar, if on a terminal.

    Raises:
        ValueError: None can be decoded.
    """
    reasons = {}
    with console.progress("checking images", len(files), shown=None if show_progress else False) as bar:
        for file in bar.over(files):
            path = root / file
            try:
                open_image(path)
            except (OSError, ValueError) as error:
                reasons[file] = str(error).removeprefix(f"{path}: ")
    if len(reasons) == len(files):
        raise UserError(f"data.on_error=skip leaves no image: none of {len(files):,} can be decoded: {examples(files)}")
    return reasons
