"""The folder of a run: where everything in it lies, and who may write to it."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pets.errors import UserError

LOCK_SECONDS = 20
"""How long to wait for a lock: data workers of a killed run hold it until they notice, within seconds."""
ROOM = 64 * 1024
"""Bytes for which there must be room before anything is written: the configuration, the log, the split."""
OUTPUTS = Path("outputs")
"""Where conf/config.yaml puts run folders, relative to the folder in which a command is typed."""
CHECKPOINTS = "checkpoints"
START_FILES = {".lock", ".hydra", "config.yaml", "train.log"}
"""What a command leaves before it has done anything."""


class RunFolder:
    """A run folder, there already or not."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.checkpoints = self.path / CHECKPOINTS
        """The folder of last.ckpt and best.ckpt, and of nothing else."""
        self.last = self.checkpoints / "last.ckpt"
        """The checkpoint with the final weights, which a run is resumed from."""
        self.best = self.checkpoints / "best.ckpt"
        """The checkpoint of the epoch with the best monitored metric."""
        self.config = self.path / "config.yaml"
        """The resolved configuration, for people."""
        self.hydra = self.path / ".hydra"
        """What a later command starts from: overrides.yaml, config.yaml (as composed, unresolved) and hydra.yaml."""
        self.splits = self.path / "splits.json"
        """Which image is in which part."""
        self.metrics = self.path / "metrics.json"
        """The final metrics and what they rest on."""
        self.unknown = self.path / "unknown.safetensors"
        """What tells images of none of the classes by the features of the final weights."""
        self.history = self.path / "history.csv"
        """A row an epoch."""
        self.job = self.path / "job.json"
        """The record of a job of a sweep."""

    @classmethod
    def of_checkpoint(cls, checkpoint: Path) -> "RunFolder | None":
        """Return the folder of the run that a checkpoint file belongs to; None if it lies in none."""
        folder = checkpoint.absolute().parent
        return cls(folder.parent) if folder.name == CHECKPOINTS else None

    @classmethod
    def latest(cls, below: Path = OUTPUTS) -> "RunFolder | None":
        """Return the folder of the run that saved a checkpoint last."""
        saved = [path for path in below.glob(f"**/{CHECKPOINTS}/last.ckpt") if path.is_file()]
        return cls(max(saved, key=lambda path: path.stat().st_mtime).parents[1]) if saved else None

    def part(self, part: str) -> Path:
        """Return the folder of an evaluation's tables and pictures."""
        return self.path / part

    def holds_run(self) -> bool:
        """Tell whether a run has saved a checkpoint here."""
        return self.last.is_file()

    def events(self) -> list[Path]:
        """Return TensorBoard's files."""
        return sorted(self.path.glob("events.out.tfevents.*"))

    @contextmanager
    def claimed(self, key: str = "hydra.run.dir") -> Iterator[None]:
        """Keep the folder for this process and the processes it starts.

        Args:
            key: The key that names it, for errors.

        Raises:
            UserError: Another process works in it, or it cannot be written to.
        """
        if not is_first_process():
            yield
            return
        from filelock import FileLock, Timeout  # whoever only predicts does without it

        made = [folder for folder in self.path.parents if not folder.exists()]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path) as file:
                file.write(bytes(ROOM))
            lock = FileLock(self.path / ".lock", timeout=LOCK_SECONDS)
            lock.acquire()
        except Timeout:
            raise UserError(f"{key}={self.path}: another process works in it") from None
        except OSError as error:
            raise UserError(f"{key}={self.path} cannot be written: {error.strerror}") from error
        try:
            yield
        finally:
            lock.release()
            self._discard_if_unused(made)

    def forget_attempt(self) -> None:
        """Remove what a run left that came to no checkpoint, so that its curves do not mix with those of the next."""
        for path in (*self.events(), self.history):
            path.unlink(missing_ok=True)

    def _discard_if_unused(self, made: Iterable[Path]) -> None:
        """Remove a folder in which nothing was done, and those above it that were made for it and hold nothing else."""
        names = {path.name for path in self.path.iterdir()}
        if names <= START_FILES and ".hydra" not in names:
            for path in self.path.iterdir():
                path.unlink()
            self.path.rmdir()
            with suppress(OSError):  # another run is in it
                for folder in made:
                    folder.rmdir()


def is_first_process() -> bool:
    """Tell whether this is the first of the processes of a run, before torch knows."""
    return all(os.environ.get(name, "0") in ("", "0") for name in ("LOCAL_RANK", "RANK", "SLURM_PROCID"))
