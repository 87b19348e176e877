"""Errors of writing: a folder without permission or a full disk becomes one line that names it."""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LogFile(logging.FileHandler):
    """A log file that says once that it cannot be written, and then lets the run continue without it."""

    given_up = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; the first failure is the last."""
        if self.given_up:
            return
        try:
            super().emit(record)
        except OSError as error:  # of opening it; of writing, `handleError` is told
            self._give_up(error)

    def handleError(self, record: logging.LogRecord) -> None:
        """Give up where the file cannot be written; leave any other fault to logging."""
        error = sys.exception()
        if isinstance(error, OSError):
            self._give_up(error)
        else:
            super().handleError(record)

    def close(self) -> None:
        """Close the file; what it still holds back is lost if it cannot be written."""
        try:
            super().close()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        if not self.given_up:
            print(f"warning: {self.baseFilename} is not written any more: {error.strerror}", file=sys.stderr)
        self.given_up = True


@contextmanager
def naming(folder: str | Path) -> Iterator[None]:
    """Let errors of writing that name no file name the folder; TensorBoard's thread leaves the word to its owner.

    Raises:
        OSError: What was raised, with the folder as its file.
    """
    hook = threading.excepthook

    def quiet(args: threading.ExceptHookArgs) -> None:
        if not issubclass(args.exc_type, OSError):
            hook(args)

    threading.excepthook = quiet
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(folder)) from error
        raise
    finally:
        threading.excepthook = hook
