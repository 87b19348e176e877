"""How a run is ended from outside: signals that ask it to stop, and other processes of it that have gone.

A handler only takes a note, since nothing that waits for other processes may run inside one. A thread sees to the rest,
even while the main thread hangs in native code: it passes signals on, and ends the process if stopping takes too long.
"""

import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing import active_children
from types import FrameType
from typing import Any, NoReturn

log = logging.getLogger("pets")

GRACE = 25
"""Seconds from the first signal until the process ends whatever it does: SLURM and others kill after 30."""
REPEAT = 2
"""Seconds within which signals are one wish: a scheduler may signal the group, and the first process its children."""
PEER = 5
"""Seconds that the main thread has to end by itself when another process has gone."""
GO_ON = "the others end too; ckpt_path=<run folder> resumes at the last checkpoint"
LAUNCHER = "PETS_LAUNCHER"
"""Variable that tells the processes of a run the pid of the one that started them."""


class Signals:
    """What this process was asked by signals, and which processes it depends on.

    Attributes:
        received: The first signal that asked it to stop; None as long as there is none.
        lost: One line about a process of the run that has gone; None as long as all are there.
        deferred: Whether somebody looks at `received` between steps; else the signal raises at once.
    """

    def __init__(self, stop: Callable[[], BaseException]) -> None:
        self.received: signal.Signals | None = None
        self.lost: str | None = None
        self.deferred = False
        self.previous: dict[signal.Signals, Callable[[int, FrameType | None], Any] | int | None] = {}
        self._stop = stop
        self._children: Sequence[subprocess.Popen[bytes]] = ()
        self._launcher = int(os.environ.get(LAUNCHER, "0"))
        self._pid = os.getpid()
        self._wake, self._woken = socket.socketpair()
        self._closed = threading.Event()

    def open(self) -> None:
        """Begin to listen; nothing happens outside the main thread, where Python allows no handlers."""
        if threading.current_thread() is not threading.main_thread():
            return
        self.previous = {number: signal.getsignal(number) for number in stop_signals()}
        for number in self.previous:
            signal.signal(number, self._note)
        self._wake.setblocking(False)
        self._wakeup = signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._watch, name="signals", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Put back the handlers that were there before."""
        if self.previous:
            signal.set_wakeup_fd(self._wakeup)
            for number, handler in self.previous.items():
                signal.signal(number, handler)
            self._closed.set()
            self._wake.send(b"\0")
            self._thread.join()
        self._wake.close()
        self._woken.close()

    def watch(self, children: Sequence[subprocess.Popen[bytes]]) -> None:
        """Pass signals on to the processes that this one has started for its run, and end when one of them has."""
        self._children = children

    def peer_lost(self) -> str | None:
        """Return which process of the run has gone, given a moment to notice; None if all are there."""
        deadline = time.monotonic() + PEER - 1
        while self.lost is None and (self._children or self._launcher) and time.monotonic() < deadline:
            time.sleep(0.1)
        return self.lost

    def end_children(self) -> None:
        """End the processes that this one has started: without it they would wait forever."""
        for child in self._children:
            child.kill()
        for worker in active_children():
            worker.kill()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            return  # a fork that has not yet forgotten the handler
        first, self.received = self.received is None, self.received or signal.Signals(number)
        if first and not self.deferred:
            raise self._stop()

    def _watch(self) -> None:
        first = None
        end: tuple[float, str, int] | None = None  # when, with which line, with which code
        while not self._closed.is_set():
            ready, _, _ = select.select([self._woken], [], [], 0.5)
            now = time.monotonic()
            numbers = self._woken.recv(64) if ready else b""
            for number in sorted(set(numbers) & set(self.previous)):
                name = signal.Signals(number).name
                self._pass_on(number)
                if first is None:
                    first = now
                    late = f"stopped by {name} after {GRACE} s in one step; the last checkpoint is kept"
                    end = now + GRACE, late, 128 + number
                elif now - first > REPEAT:
                    self._end(f"stopped at once by a second {name}; the last checkpoint is kept", 128 + number)
            if self.lost is None and (lost := self._look_for_others()):
                self.lost = lost
                if end is None:
                    end = now + PEER, f"error: {lost}", 1
            if end is not None and now > end[0]:
                self._end(*end[1:])

    def _pass_on(self, number: int) -> None:
        for child in self._children:
            child.send_signal(number)  # none to those that have ended

    def _look_for_others(self) -> str | None:
        """Return which process has gone that did not end well, or with this one."""
        if self._launcher and os.getppid() != self._launcher:
            return f"the first process of the run (pid {self._launcher}) has ended: {GO_ON}"
        for rank, child in enumerate(self._children, start=1):
            code = child.poll()
            if code and not (self.received and code in (128 + self.received, -self.received)):
                how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
                return f"process {rank} of the run (pid {child.pid}) {how}: {GO_ON}"
        return None

    def _end(self, line: str, code: int) -> NoReturn:
        if int(os.environ.get("LOCAL_RANK", "0")) <= (1 if self.lost else 0):
            print(line, file=sys.stderr, flush=True)
        self.end_children()
        sys.stdout.flush()
        os._exit(code)


def stop_signals() -> list[signal.Signals]:
    """Return the signals that ask to stop: SIGTERM, and in a SLURM job those that announce the end of its time."""
    in_job = "SLURM_JOB_ID" in os.environ and os.environ.get("SLURM_JOB_NAME") not in ("bash", "interactive")
    return [signal.SIGTERM, *([signal.SIGUSR1, signal.SIGUSR2] if in_job else [])]


def leave_to_parent(worker: int = 0) -> None:
    """Keep a worker of a loader alive when its group is signalled: it ends with the process that it works for."""
    for number in stop_signals():
        signal.signal(number, signal.SIG_IGN)


# What wakes the thread above is shared with a fork, whose signals are not those of this process.
os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
