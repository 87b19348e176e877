"""Labels that a person corrected, as a table that a new fit reads, with the photographs beside it."""

import csv
import hashlib
import io
import threading
from pathlib import Path

from pets.data.images import open_image
from pets.data.sources.folder import HEAD_BYTES, sniff
from pets.errors import UserError
from pets.escape import from_cell
from pets.files import own_folder, read_text, write_bytes, write_csv

MAX_CORRECTIONS = 10_000
"""Rows of the table: no page fills the disk."""
HEADER = ("file", "label")
PHOTOGRAPHS = "photographs"
"""Folder beside the table that holds what it names."""
_SUFFIXES = {"jpeg": ".jpg", "heif": ".heic"}


class Corrections:
    """A CSV table of photographs and the labels that a person gave them, with the photographs beside it.

    Columns `file` and `label`, as `data=csv` and `data.relabel=` read them; a file is called by a hash of its content,
    so a photograph that is corrected again keeps one row.

    Args:
        path: The table. Rows are added to one that is there.

    Raises:
        UserError: The file is there and is no such table.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self._lock = threading.Lock()
        self.labels: dict[str, str] = _read_labels(self.path) if self.path.exists() else {}

    def add(self, photograph: bytes, label: str) -> str:
        """Keep a photograph with its label; return the file's path relative to the table's folder.

        Raises:
            UserError: It is no image, or the table is full.
            OSError: It cannot be written.
        """
        kind = sniff(photograph[:HEAD_BYTES]) or "img"
        file = f"{PHOTOGRAPHS}/{hashlib.sha256(photograph).hexdigest()[:32]}{_SUFFIXES.get(kind, f'.{kind}')}"
        with self._lock:
            open_image(photograph)  # one at a time, as it may take much memory
            if file not in self.labels and len(self.labels) >= MAX_CORRECTIONS:
                raise UserError(f"serve.corrections={self.path} holds {MAX_CORRECTIONS:,} rows: name another table")
            own_folder(self.path.parent / PHOTOGRAPHS)
            write_bytes(self.path.parent / file, photograph)
            labels = {**self.labels, file: label}
            write_csv(self.path, HEADER, labels.items())
            self.labels = labels
        return file


def _read_labels(path: Path) -> dict[str, str]:
    """Read a table of corrections; one with other columns is refused, since rewriting would lose them."""
    try:
        header, *rows = csv.reader(io.StringIO(read_text(path, "utf-8-sig"), newline=""), strict=True)
        if tuple(header) != HEADER:
            raise ValueError(f"its columns are {', '.join(header)[:200]}")
        return {from_cell(file): from_cell(label) for file, label in rows}
    except (csv.Error, ValueError) as error:
        raise UserError(f"serve.corrections={path} is no table of {' and '.join(HEADER)}: {error}") from None
