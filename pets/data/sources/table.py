"""A table (CSV) that lists the images, their labels and, optionally, their parts."""

import csv
import io
import os
from functools import cached_property
from pathlib import Path

from pets.data.sources.folder import Listing, examples
from pets.errors import UserError
from pets.escape import from_cell
from pets.files import read_text
from pets.settings.data import Table

_SEPARATORS = ",;\t|"
_TRUTH = {"true": "valid", "1": "valid", "false": "train", "0": "train"}
_PARTS = {"train": "train", "valid": "valid", "validation": "valid", "val": "valid", "test": "test"}


class CsvTable:
    """A source whose files, labels and parts are the rows of a CSV file.

    The file is UTF-8, with or without a byte-order mark; comma, semicolon, tab or bar separate its columns. The `'`
    before what begins like a formula, as tables of this program have it, is no part of a cell, see `escape.to_cell`.

    Args:
        path: The CSV file; `~` is expanded.
        root: The folder that its paths are relative to; None is the folder of the CSV file.
        file_column: The column of the paths.
        label_column: The column of the labels.
        valid_column: A column of true or false, 1 or 0: whether a row is for validation.
        split_column: A column of train, valid (or val, validation) and test. Only one of the two may be named.
    """

    def __init__(
        self,
        path: str | Path,
        root: str | Path | None = None,
        file_column: str = "file",
        label_column: str = "label",
        valid_column: str | None = None,
        split_column: str | None = None,
    ) -> None:
        Table(path, root, file_column, label_column, valid_column, split_column)
        self.path = Path(path).expanduser()
        self.root = self.path.parent if root is None else Path(root).expanduser()
        self.file_column = file_column
        self.label_column = label_column
        self.valid_column = valid_column
        self.split_column = split_column

    def prepare(self) -> None:
        """Do nothing: the files are there, or `listing` says that they are not."""

    def listing(self) -> Listing:
        """List the files of the table, sorted.

        Raises:
            FileNotFoundError: The table or a file that it names does not exist.
            ValueError: The table is not what it should be; the message says where.
        """
        files = sorted(self._rows)
        missing = [file for file in files if not os.path.isfile(os.path.join(self.root, file))]
        if missing:
            raise FileNotFoundError(
                f"{self.path}: {len(missing):,} of {len(files):,} files are not in data.root={self.root}: "
                f"{examples(missing)}"
            )
        return Listing(tuple(files))

    def official(self) -> dict[str, list[str]]:
        """Raise: the parts of a table are in a column."""
        raise UserError(
            "data.split.method=official: no official split comes with a table; use random, stratified or column"
        )

    def labels(self) -> dict[str, str]:
        """Return the label of every file."""
        return {file: row[self.label_column] for file, row in self._rows.items()}

    def values(self, column: str) -> dict[str, str]:
        """Return what a column says of every file.

        Raises:
            UserError: The table has no such column.
        """
        return {file: row[column] for file, row in self._read(column).items()}

    def column(self) -> dict[str, list[str]]:
        """Return the files of each part (train, valid, test) that the table's column names.

        Raises:
            ValueError: No column is configured, or a cell of it has another value than those allowed.
        """
        if self.valid_column is not None:
            return self._parts(self.valid_column, _TRUTH)
        if self.split_column is not None:
            return self._parts(self.split_column, _PARTS)
        raise UserError("data.split.method=column needs data.source.valid_column or data.source.split_column")

    def _parts(self, column: str, meaning: dict[str, str]) -> dict[str, list[str]]:
        parts: dict[str, list[str]] = {part: [] for part in meaning.values()}
        for file, row in self._rows.items():
            part = meaning.get(row[column].lower())
            if part is None:
                raise UserError(
                    f"{self.path}: column {column!r} says {row[column]!r} of {file!r}; allowed: {', '.join(meaning)}"
                )
            parts[part].append(file)
        return parts

    @cached_property
    def _rows(self) -> dict[str, dict[str, str]]:
        return self._read()

    def _read(self, *more: str) -> dict[str, dict[str, str]]:
        """Return the configured columns, and more, by file in the order of the table, cells stripped of blanks."""
        if not self.path.is_file():
            raise FileNotFoundError(f"data.source.path={self.path} does not exist or is not a file")
        columns = [self.file_column, self.label_column, self.valid_column, self.split_column, *more]
        wanted = list(dict.fromkeys(column for column in columns if column is not None))
        rows: dict[str, dict[str, str]] = {}
        try:
            # The csv module asks for newline="" so that a quoted cell may hold a line break.
            with io.StringIO(read_text(self.path, "utf-8-sig"), newline="") as file:
                header = file.readline()
                file.seek(0)
                reader = csv.DictReader(file, delimiter=self._separator(header, wanted), strict=True)
                for row in reader:
                    self._add(rows, row, wanted, f"{self.path} line {reader.line_num}")
        except (UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"{self.path} is no CSV file in UTF-8: {error}") from error
        if not rows:
            raise UserError(f"{self.path} has no row below its header")
        return rows

    def _separator(self, header: str, wanted: list[str]) -> str:
        """Return the separator that makes a header with the wanted columns.

        The wanted names tell more than csv.Sniffer, which guesses from the frequency of characters.
        """
        headers = {separator: next(csv.reader([header], delimiter=separator), []) for separator in _SEPARATORS}
        separator = max(
            headers, key=lambda separator: (len(set(wanted) & set(headers[separator])), len(headers[separator]))
        )
        found = headers[separator]
        missing = [column for column in wanted if column not in found]
        if missing:
            raise UserError(f"{self.path} has no column {examples(missing)}; its columns: {examples(found, 20)}")
        twice = [column for column in wanted if found.count(column) > 1]
        if twice:
            raise UserError(f"{self.path} has the column {examples(twice)} more than once")
        return separator

    def _add(self, rows: dict[str, dict[str, str]], row: dict[str, str], wanted: list[str], where: str) -> None:
        """Check one row and add it to `rows`."""
        if None in row or None in row.values():
            raise UserError(f"{where}: it has more or fewer cells than the header")
        cells = {column: from_cell(row[column].strip()) for column in wanted}
        for column in (self.file_column, self.label_column):
            if not cells[column]:
                raise UserError(f"{where}: column {column!r} is empty")
        file = self._relative(cells[self.file_column], where)
        if file in rows:
            raise UserError(f"{where}: the file {file!r} is listed a second time")
        rows[file] = cells

    def _relative(self, file: str, where: str) -> str:
        """Return the normalised path of a file relative to the root."""
        path = os.path.normpath(os.path.join(self._inside, file))
        if not path.startswith(self._inside):
            raise UserError(f"{where}: the file {file!r} lies outside data.root={self.root}")
        return path.removeprefix(self._inside).replace(os.sep, "/")

    @cached_property
    def _inside(self) -> str:
        """The absolute root with a separator at its end: how the path of each file in it begins."""
        return os.path.join(os.path.abspath(self.root), "")
