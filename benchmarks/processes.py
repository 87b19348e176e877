"""Measured in a process of their own: what starts cold, and what is counted in megabytes."""

import json
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]


def run(arguments: list[str]) -> float:
    """Run Python with `arguments` in the repository's root and return the seconds until it ends.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    start = time.perf_counter()
    # No pipes: a worker that outlives its parent for a moment would hold them open.
    subprocess.run(
        [sys.executable, "-W", "ignore", *arguments],
        cwd=REPOSITORY,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - start


def answer(function: str, root: Path, out: Path) -> dict[str, Any]:
    """Call a function of `benchmarks.subjects` with (root, out) in a new process and return the JSON it leaves."""
    out.mkdir(parents=True, exist_ok=True)
    result = out / f"{function}.json"
    result.unlink(missing_ok=True)
    run(["-m", "benchmarks.subjects", function, str(root.resolve()), str(result.resolve())])
    told: dict[str, Any] = json.loads(result.read_text())
    return told


def resident_megabytes() -> float:
    """Return the memory of this process and its children, pages they share counted once (PSS)."""
    return sum(map(_pss, _family(os.getpid()))) / 1024


def cpu_seconds() -> float:
    """Return the processor time, of user and system, of this process and its children, those that have ended too."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    _, *children = _family(os.getpid())
    ticks = [_read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()[11:13] for pid in children]
    running = sum(int(part) for both in ticks for part in both) / os.sysconf("SC_CLK_TCK")
    return time.process_time() + ended.ru_utime + ended.ru_stime + running


def _family(pid: int) -> list[int]:
    members = [pid]
    tasks = Path(f"/proc/{pid}/task")
    for task in list(tasks.iterdir()) if tasks.exists() else []:
        members += [member for child in _read(task / "children").split() for member in _family(int(child))]
    return members


def _pss(pid: int) -> int:
    lines = _read(Path(f"/proc/{pid}/smaps_rollup")).splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _read(path: Path) -> str:
    """Return a file of /proc, empty if its process or thread has ended meanwhile."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


class PeakMemory(threading.Thread):
    """Watches this process and its children from `start()` to `stop()`."""

    def __init__(self, interval: float = 0.5) -> None:
        super().__init__(daemon=True)
        self.interval = interval
        self.peak = 0.0
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(self.interval):
            self.peak = max(self.peak, resident_megabytes())

    def stop(self) -> float:
        """Return the peak in megabytes."""
        self._done.set()
        self.join()
        return self.peak
