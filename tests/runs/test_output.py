"""A full disk and a folder that cannot be written are one line, whoever writes."""

import errno
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pets.runs.output import LogFile, naming

ROOT = Path(__file__).parents[2]


def test_a_log_file_on_a_full_disk_says_so_once_and_the_run_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    handler = LogFile("/dev/full", delay=True)
    log = logging.Logger("test")
    log.addHandler(handler)
    for _ in range(3):
        log.warning("a line")
    handler.close()
    said = capsys.readouterr().err
    assert said == "warning: /dev/full is not written any more: No space left on device\n"


def test_a_log_file_below_a_file_says_so_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    handler = LogFile(str(tmp_path / "file" / "train.log"), delay=True)
    for _ in range(2):
        handler.handle(logging.LogRecord("test", logging.INFO, "", 0, "a line", None, None))
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(("key", "multirun"), [("hydra.run.dir", []), ("hydra.sweep.dir", ["-m"])])
def test_an_output_folder_below_a_file_is_one_line(key: str, multirun: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    command = [sys.executable, str(ROOT / "train.py"), *multirun, f"{key}={tmp_path}/file/run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2
    assert done.stderr == f"error: {key}={tmp_path}/file/run cannot be written: Not a directory\n"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_error_without_a_file_gets_the_folder_and_one_with_a_file_keeps_it(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left on device") as raised, naming(tmp_path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert raised.value.filename == str(tmp_path)
    with pytest.raises(FileNotFoundError) as raised, naming(tmp_path):
        (tmp_path / "missing").read_text()
    assert raised.value.filename == str(tmp_path / "missing")


def test_a_thread_that_cannot_write_is_silent_and_any_other_error_is_not(tmp_path: Path) -> None:
    seen: list[type] = []
    hook, threading.excepthook = threading.excepthook, lambda args: seen.append(args.exc_type)
    try:
        with naming(tmp_path):
            for name in ("/dev/full", "a\0b"):
                thread = threading.Thread(target=lambda name=name: Path(name).write_text("x" * 100_000))
                thread.start()
                thread.join()
    finally:
        threading.excepthook = hook
    assert seen == [ValueError]
