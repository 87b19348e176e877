"""A folder that cannot be written, or a disk that is full: one line that names it, from every writer of a run."""

import logging
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

BEFORE = 64 * 1024
"""Bytes for which there must be room before anything is written: the configuration, the log, the split."""


class LogFile(logging.FileHandler):
    """A log file that says once that it cannot be written, and then lets the run go on without it."""

    given_up = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; the first failure is the last."""
        if self.given_up:
            return
        try:
            if self.stream is None:
                self.stream = self._open()
            self.stream.write(self.format(record) + self.terminator)
            self.stream.flush()
        except OSError as error:
            self._give_up(error)

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


class OutputFolder(Callback):
    """Ends the program with code 2 and one line before Hydra writes to a folder that cannot be written."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the folder of a single run."""
        check("hydra.run.dir", config.hydra.run.dir)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the folder of a sweep."""
        check("hydra.sweep.dir", config.hydra.sweep.dir)


def check(key: str, folder: str) -> None:
    """Make a folder and see that something can be written into it; no file appears.

    Raises:
        SystemExit: With code 2 and one line on stderr if that cannot be.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(BEFORE))
    except OSError as error:
        print(f"error: {key}={folder} cannot be written: {error.strerror}", file=sys.stderr)
        sys.exit(2)


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
