"""Where caches lie: folders of the user, which nobody else can write to."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pets.errors import UserError
from pets.files import private_folder


def user_folder(what: str, key: str) -> Path:
    """Return the folder of one cache: `pets/<what>` in XDG_CACHE_HOME, by default `~/.cache`.

    Not beside the photographs, which may be a stranger's or a folder of many users: the digest in a file has no key, so
    who can write the file can write what it holds.

    Args:
        what: The folder's name.
        key: The setting that asks for it, for messages.

    Raises:
        ValueError: The user has no home.
    """
    named = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(named):
        return Path(named) / "pets" / what
    try:
        return Path.home() / ".cache" / "pets" / what
    except RuntimeError as error:
        raise UserError(f"{key}=disk: this user has no home; XDG_CACHE_HOME can name a folder") from error


@contextmanager
def believed(folder: Path, key: str) -> Iterator[None]:
    """Make a folder that `user_folder` named, and let a block work in it.

    Raises:
        ValueError: It is a link, another user can write to it, or the block fails in it (a full disk, for one); in one
            line, with the way out.
    """
    try:
        for each in (folder.parent, folder):
            private_folder(each)
        yield
    except OSError as error:
        raise UserError(
            f"{key}=disk: {folder} cannot be used: {error.strerror or error}; {key}=ram keeps it in memory, and the "
            "environment variable XDG_CACHE_HOME can name another folder"
        ) from error
