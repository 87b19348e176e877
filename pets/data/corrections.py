"""What is taken out of a data set or labelled anew before it is split."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from tqdm import tqdm

from pets.data.files import examples
from pets.data.images import open_image
from pets.data.table import Table


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
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = list(reader.fieldnames or ())
            names = [str(row.get("file") or "") for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"data.exclude={path} is no CSV file in UTF-8: {error}") from error
    if "file" not in columns:
        raise ValueError(f"data.exclude={path} has no column 'file'; its columns: {examples(columns)}")
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
    labels = Table(path, root).labels()
    _check_known(f"data.relabel={path}", labels, files)
    return labels


def _check_known(origin: str, names: Iterable[str], files: Iterable[str]) -> None:
    unknown = sorted(set(names) - set(files))
    if unknown:
        raise ValueError(f"{origin} names {len(unknown):,} files that are not in the data: {examples(unknown)}")


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
    # For tqdm, None means: disabled unless on a terminal.
    for file in tqdm(files, desc="Checking images", unit="image", disable=None if show_progress else True):
        path = root / file
        try:
            open_image(path)
        except (OSError, ValueError) as error:
            reasons[file] = str(error).removeprefix(f"{path}: ")
    if len(reasons) == len(files):
        raise ValueError(
            f"data.on_error=skip leaves no image: none of {len(files):,} can be decoded: {examples(files)}"
        )
    return reasons
