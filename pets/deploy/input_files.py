"""The images that a person names to be predicted: a file, a folder, a glob or a table, in a fixed order."""

import glob
from pathlib import Path
from typing import NamedTuple

from pets.data.sources.folder import list_images
from pets.data.sources.table import CsvTable

TABLE_SUFFIXES = (".csv", ".tsv")


class InputFiles(NamedTuple):
    """Files below a root; they need not exist or be readable."""

    root: Path
    files: tuple[str, ...]
    """POSIX paths relative to the root."""
    ignored: dict[str, int]
    """How many entries of a folder are not images, by suffix or reason."""


def list_input_files(source: str, *, file_column: str = "file", root: str | Path | None = None) -> InputFiles:
    """List the images that `source` names.

    Args:
        source: A file; a folder, whose images are sorted; a glob with `*`, `?`, `[]` or `**`, whose matches are sorted;
            or a .csv or .tsv file, whose rows keep their order.
        file_column: The column of a table that names the files.
        root: The folder that the paths in a table are relative to and must stay in; None: the table's own.

    Raises:
        FileNotFoundError: There is no such file, no image in the folder or no match.
        ValueError: The table is not what it should be.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        listing = list_images(path, key="source")
        return InputFiles(path, listing.files, listing.ignored)
    if path.is_file() and path.suffix.lower() in TABLE_SUFFIXES:
        table = CsvTable(path, root, file_column=file_column, label_column=file_column)
        return InputFiles(table.root, tuple(table.labels()), {})
    if path.is_file():
        return InputFiles(path.parent, (path.name,), {})
    if not glob.has_magic(str(path)):
        raise FileNotFoundError(f"source={source} does not exist")
    return _glob(path)


def _glob(pattern: Path) -> InputFiles:
    fixed = next(index for index, part in enumerate(pattern.parts) if glob.has_magic(part))
    root = Path(*pattern.parts[:fixed])
    matches = glob.glob(str(Path(*pattern.parts[fixed:])), root_dir=root, recursive=True)
    files = tuple(sorted(Path(match).as_posix() for match in matches if (root / match).is_file()))
    if not files:
        raise FileNotFoundError(f"source={pattern} matches no file")
    return InputFiles(root, files, {})
