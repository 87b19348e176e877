"""Opening untrusted files safely, and writing the files of this program whole and never through a link."""

import csv
import errno
import io
import logging
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pets.errors import UserError
from pets.escape import printable, to_cell

MAX_BYTES = 2**28
"""Of a table or of a file of settings: more than any that a person has."""

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a link",
}

log = logging.getLogger(__name__)


def open_regular(path: str | Path) -> BinaryIO:
    """Open a regular file for reading, or a link to one; never wait for what is none.

    Raises:
        FileNotFoundError: There is no such file.
        IsADirectoryError: It is a folder.
        ValueError: It is a FIFO, a socket or a device.
        OSError: It cannot be opened.
    """
    check_regular(path)
    return open(path, "rb", opener=_open_at_once)


def _open_at_once(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    try:
        _check_kind(os.fstat(descriptor), path)  # it may have become something else
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def check_regular(path: str | Path) -> None:
    """Check that a path leads to a regular file, for readers that open it by its name.

    Raises:
        As `open_regular`.
    """
    _check_kind(os.stat(path), path)


def _check_kind(status: os.stat_result, path: str | Path) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder, not a file", str(path))
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "no regular file")
        raise UserError(f"{printable(str(path))}: is {kind}, not a file")


def read_bytes(path: str | Path, most: int = MAX_BYTES) -> bytes:
    """Return the content of a regular file of at most `most` bytes.

    Raises:
        ValueError: It is larger.
        As `open_regular`.
    """
    with open_regular(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise UserError(f"{printable(str(path))}: is larger than the {most:,} bytes allowed")
    return data


def read_text(path: str | Path, encoding: str = "utf-8", most: int = MAX_BYTES) -> str:
    """Return the text of a regular file; raises as `read_bytes`, and UnicodeDecodeError."""
    return read_bytes(path, most).decode(encoding)


@contextmanager
def replacing(path: Path, sync: bool = False) -> Iterator[BinaryIO]:
    """Give a stream whose content takes the name of a file once it is whole: the file is the old one or the new one.

    No link is followed, neither at the name nor at the temporary one beside it; a link at the name is replaced.

    Args:
        path: The file; its folder exists.
        sync: Whether to wait until the disk has the content before it takes the name, and then the name.
    """
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)  # a fixed name: what a killed run left behind goes now
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with open(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            if sync:
                os.fsync(stream.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    if sync:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Wait until the disk has the folder's list of names; only POSIX can."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_bytes(path: Path, data: bytes | memoryview, sync: bool = False) -> None:
    """Write a file as `replacing` does."""
    with replacing(path, sync) as stream:
        stream.write(data)


def write_text(path: Path, text: str) -> None:
    """Write a file in UTF-8 as `replacing` does; bytes of a file name that are not UTF-8 become `\\udc80` and so on."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a header and rows as `replacing` does, in UTF-8 and without a formula, see `escape.to_cell`."""
    write_text(path, csv_text([header, *rows], lineterminator="\r\n"))


def csv_text(rows: Iterable[Iterable[object]], lineterminator: str = "\n") -> str:
    """Return rows as CSV without a formula, see `escape.to_cell`."""
    text = io.StringIO()
    csv.writer(text, lineterminator=lineterminator).writerows(map(to_cell, row) for row in rows)
    return text.getvalue()


def own_folder(path: Path) -> Path:
    """Make a folder that belongs to the program, with those above it, unless it is there.

    Raises:
        FileExistsError: Something else is there, a link to a folder too: what is written into it would go elsewhere.
    """
    path.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        raise FileExistsError(errno.EEXIST, "is a link; the program writes into folders of its own only", str(path))
    return path


def private_folder(path: Path) -> Path:
    """Make a folder that only this user can write to or read, unless it is there.

    Raises:
        OSError: It is a link, or another user owns it or can write to it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "is no folder", str(path))
    if os.name == "posix" and (status.st_uid != os.getuid() or status.st_mode & 0o022):
        raise PermissionError(
            errno.EPERM, "another user can write to it, so what lies there is not believed", str(path)
        )
    return path


def fresh_folder(path: Path) -> Path:
    """Make an empty folder in the place of what is there; a link goes, and what it leads to stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.mkdir()
    return path


def refuse_links(folder: Path) -> None:
    """Check that a folder holds nothing but files and folders, however deep: what is written there stays there.

    Links from one place in the folder to another are allowed.

    Raises:
        ValueError: Naming a link that leads out of it, a FIFO, socket or device.
    """
    root = os.path.join(os.path.realpath(folder), "")
    for at, folders, names in os.walk(folder):
        for path in (os.path.join(at, name) for name in (*folders, *names)):
            kind = stat.S_IFMT(os.lstat(path).st_mode)
            inside = kind == stat.S_IFLNK and os.path.realpath(path).startswith(root)
            if kind not in (stat.S_IFREG, stat.S_IFDIR) and not inside:
                raise UserError(
                    f"{printable(path)}: is {_KINDS.get(kind, 'no file')}: a run folder holds files of its own"
                )


@contextmanager
def or_warn(path: str | Path) -> Iterator[None]:
    """Let a file that nothing depends on fail with one warning that names it."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        log.warning("%s is left out: %s", printable(str(path)), printable(reason))
        log.debug("left out", exc_info=True)
