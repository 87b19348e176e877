"""How many processor cores there are to share."""

import os

MAX_WORKERS = 8
"""Workers of a loader that nobody has asked for more."""


def workers(processes: int) -> int:
    """Return how many workers each of the processes that train on this machine gets."""
    return min(MAX_WORKERS, max(1, available() // processes))


def available() -> int:
    """Return the number of cores this process may use, which a scheduler may have made smaller than the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
