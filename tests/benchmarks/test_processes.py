"""The memory of a family of processes, some of which may end while they are counted."""

import threading
from pathlib import Path

from benchmarks.processes import PeakMemory, _read, resident_megabytes


def test_a_process_that_has_ended_counts_nothing() -> None:
    assert _read(Path("/proc/self/task/0/children")) == ""


def test_threads_that_come_and_go_do_not_end_the_watch() -> None:
    watch = PeakMemory(interval=0.001)
    watch.start()
    for _ in range(300):
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()
    watch.join(0.05)
    assert watch.is_alive()
    assert watch.stop() >= 0.5 * resident_megabytes() > 0
