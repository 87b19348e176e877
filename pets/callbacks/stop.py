"""Stop between two steps when a signal asks for it: all processes of a run at the same one."""

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.fabric.utilities.distributed import _set_num_threads_if_needed
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from lightning.pytorch.trainer.connectors.signal_connector import _SignalConnector
from lightning.pytorch.utilities.exceptions import SIGTERMException

from pets.signals import GO_ON, GRACE, LAUNCHER, Signals

log = logging.getLogger("pets")

_LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "remote process exited")
"""What torch's collectives say when another process has gone."""


class StopTogether(Callback):
    """Agree between processes whether a signal has asked any of them to stop.

    A single process looks at its own note. Several exchange one byte a batch, between their CPUs and while the next
    batch is computed, so that neither a device nor another process is waited for.

    Attributes:
        agreed: Whether to stop now, the same in all processes.
    """

    def __init__(self, signals: Signals) -> None:
        self.signals = signals
        self.agreed = False
        self._group: Any = None
        self._asked: tuple[Any, torch.Tensor] | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if trainer.world_size > 1 and self._group is None:
            self._group = torch.distributed.new_group(backend="gloo")

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        self._agree()

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        self._agree()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._agree()
        self._agree()  # what was asked during the last batch counts before the next epoch, or the end of the fit

    def _agree(self) -> None:
        if self._group is None:
            self.agreed = self.signals.received is not None
            return
        if self._asked is not None:
            request, answer = self._asked
            request.wait()
            self.agreed = bool(answer)
        mine = torch.tensor(self.signals.received is not None, dtype=torch.uint8)
        operation = torch.distributed.ReduceOp.MAX
        self._asked = torch.distributed.all_reduce(mine, operation, self._group, async_op=True), mine


class _Connector(_SignalConnector):
    """Lightning's view of the signals. Its own handler broadcasts, in whatever another broadcast was interrupted."""

    def __init__(self, trainer: Trainer, stop: StopTogether) -> None:
        self.stop = stop
        super().__init__(trainer)

    @property
    def received_sigterm(self) -> bool:  # type: ignore[override]
        return self.stop.agreed

    @received_sigterm.setter
    def received_sigterm(self, value: bool) -> None:
        pass

    def register_signal_handlers(self) -> None:
        self.stop.signals.deferred = True

    def teardown(self) -> None:
        self.stop.signals.deferred = False


class _Launcher(_SubprocessScriptLauncher):
    """Lightning's launcher, watched by us: its observer kills all processes, this one too, without a word."""

    def __init__(self, other: _SubprocessScriptLauncher, signals: Signals) -> None:
        super().__init__(other.cluster_environment, other.num_processes, other.num_nodes)
        self.signals = signals

    def launch(self, function: Callable[..., Any], *args: Any, trainer: Trainer | None = None, **kwargs: Any) -> Any:
        self.cluster_environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        if not self.cluster_environment.creates_processes_externally:
            os.environ[LAUNCHER] = str(os.getpid())
            try:
                self._call_children_scripts()
            finally:
                del os.environ[LAUNCHER]
            self.signals.watch(self.procs)
        _set_num_threads_if_needed(num_processes=self.num_processes)
        return function(*args, **kwargs)


def adopt(trainer: Trainer, signals: Signals) -> None:
    """Let `signals`, not Lightning, decide when a trainer stops.

    All that is private to Lightning stands here: it offers no way to replace its signal handlers, the broadcast before
    every batch that waits for the device, or the observer of the processes it starts.
    """
    strategy: Any = trainer.strategy
    if strategy.launcher is not None and not isinstance(strategy.launcher, _SubprocessScriptLauncher):
        return  # spawned and forked processes receive the trainer itself, and keep to Lightning's ways
    stop = StopTogether(signals)
    trainer.callbacks.append(stop)  # type: ignore[attr-defined]
    trainer._signal_connector = _Connector(trainer, stop)
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]
    if strategy.launcher is not None:
        strategy._launcher = _Launcher(strategy.launcher, signals)


@contextmanager
def listening() -> Iterator[Signals]:
    """Listen to signals for the time of a task that may have several processes.

    Raises:
        SIGTERMException: A signal has asked to stop.
        ChildProcessError: Another process of the run has gone.
    """
    signals = Signals(SIGTERMException)
    signals.open()
    try:
        yield signals
    except SIGTERMException:
        _queue_again(signals)
        raise
    except BaseException as error:
        lost = (signals.peer_lost() or _says_lost(error)) if isinstance(error, RuntimeError) else None
        signals.end_children()
        if lost is None:
            raise
        if int(os.environ.get("LOCAL_RANK", "0")) > 1:
            sys.exit(1)  # the process before it says it
        raise ChildProcessError(lost) from error
    finally:
        signals.close()


def _says_lost(error: RuntimeError) -> str | None:
    """Return one line if an error of torch's tells that a process is gone which somebody else has started."""
    text = str(error)
    return f"another process of the run has ended: {GO_ON}" if any(words in text for words in _LOST) else None


def _queue_again(signals: Signals) -> None:
    """Queue a SLURM job again that was preempted or warned of its end: by submitit, if that runs it, or by scontrol."""
    if signals.received is None or (signals.received == signal.SIGTERM and not _preempted()):
        return
    log.info("stopped by %s; the job is queued again", signals.received.name)
    number = signal.SIGUSR2 if signals.received == signal.SIGTERM else signals.received
    handler = signals.previous.get(number)
    if callable(handler):
        handler(number, None)  # ends the first process of the job
    elif os.environ.get("SLURM_PROCID", "0") == "0":
        array, task = (os.environ.get(f"SLURM_ARRAY_{name}_ID") for name in ("JOB", "TASK"))
        subprocess.run(["scontrol", "requeue", f"{array}_{task}" if array else os.environ["SLURM_JOB_ID"]], check=False)
    time.sleep(GRACE)  # the job's end, which would come earlier for all if one of its processes left


def _preempted() -> bool:
    """Whether SLURM needs the place of this job: it queues a job again that it kills, but none that ends by itself."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is None or shutil.which("scontrol") is None:
        return False
    told = subprocess.run(["scontrol", "show", "job", job], capture_output=True, text=True, check=False).stdout
    return re.search(r"PreemptTime=\d", told) is not None
