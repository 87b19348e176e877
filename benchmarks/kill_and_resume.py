"""`python benchmarks/kill_and_resume.py`: kill a run at random moments, resume it, compare it with the run left alone.

Each run trains on the drawn demo set, frozen and unfrozen, in a process of its own that SIGKILL ends while it trains,
validates or saves. A run survives if resuming its folder ends well; it is identical if weights, optimizer state and
table of epochs are those of the uninterrupted run, bit for bit.
"""

import argparse
import csv
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch

TRAIN = Path(__file__).resolve().parents[1] / "train.py"
RUN = (
    "data=demo", "data.source.per_breed=5", "data.presize.size=72", "augment.size=64", "data.batch_size=4",
    "model=resnet18", "model.weights=null", "model.head.hidden=16", "recipe.freeze_epochs=2", "recipe.epochs=3",
    "trainer=cpu", "evaluate.at_end=false", "callbacks.progress.bar=off",
)  # fmt: skip
WORKERS = (0, 1, 2)
"""Loaders of killed and resumed runs take turns in these numbers of workers, which must not matter."""


class Outcome(NamedTuple):
    """What became of one killed run."""

    seconds: float
    epochs: int
    writing: bool
    survived: bool
    identical: bool

    def __str__(self) -> str:
        where = f"after {self.epochs} epochs" + (", in the middle of a write" if self.writing else "")
        said = "identical" if self.identical else "survived, but differs" if self.survived else "lost"
        return f"killed at {self.seconds:5.2f} s, {where}: {said}"


def main() -> None:
    """Run, kill, resume, compare, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="how many runs are killed")
    parser.add_argument("--seed", type=int, default=0, help="decides the moments")
    parser.add_argument("--out", type=Path, default=Path("outputs/kill_and_resume"), help="folder of the runs; new")
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    out.mkdir(parents=True)
    command = [*RUN, f"data.root={out}"]
    train(*command, f"hydra.run.dir={out / 'straight'}")
    duration = sum(float(row["seconds"]) for row in rows(out / "straight"))
    print(f"uninterrupted: {duration:.1f} s of training", flush=True)
    draw = random.Random(arguments.seed)
    outcomes = []
    for number in range(arguments.kills):
        workers = [f"data.num_workers={WORKERS[(number + turn) % len(WORKERS)]}" for turn in (0, 1)]
        outcomes.append(
            kill_and_resume(out / str(number), out / "straight", draw.uniform(0, duration), command, *workers)
        )
        print(outcomes[-1], flush=True)
    survived, identical = (sum(getattr(one, name) for one in outcomes) for name in ("survived", "identical"))
    print(f"survived {survived} of {len(outcomes)}, identical {identical} of {len(outcomes)}")
    sys.exit(identical < len(outcomes))


def kill_and_resume(
    folder: Path, straight: Path, seconds: float, command: list[str], workers: str, workers_of_the_rest: str
) -> Outcome:
    """Kill a run some seconds after its training began, or at once when it is too fast for that, and resume it."""
    typed = [*command, workers, f"hydra.run.dir={folder}"]
    process = subprocess.Popen([sys.executable, TRAIN, *typed], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    next(line for line in process.stdout if "train_loss" in line)
    time.sleep(seconds)
    process.kill()
    process.wait()
    epochs = len(rows(folder)) if (folder / "history.csv").exists() else 0
    writing = any(folder.rglob("*.part"))
    if (folder / "checkpoints" / "last.ckpt").exists():
        typed = [f"ckpt_path={folder}", workers_of_the_rest]
    survived = train(*typed) == 0
    return Outcome(seconds, epochs, writing, survived, survived and same_end(folder, straight))


def train(*command: str) -> int:
    """Run the command to its end and return its exit code."""
    return subprocess.run([sys.executable, TRAIN, *command], stdout=subprocess.DEVNULL, check=False).returncode


def same_end(ours: Path, theirs: Path) -> bool:
    """Compare the last checkpoints and the tables of epochs, without the times."""
    mine, other = (torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (ours, theirs))
    return (
        same(mine["state_dict"], other["state_dict"])
        and same(mine["optimizer_states"], other["optimizer_states"])
        and [{**row, "seconds": ""} for row in rows(ours)] == [{**row, "seconds": ""} for row in rows(theirs)]
    )


def same(ours: Any, theirs: Any) -> bool:
    """Compare nested containers of tensors and plain values bit for bit."""
    if isinstance(ours, torch.Tensor):
        return torch.equal(ours, theirs)
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return bool(ours == theirs)


def rows(folder: Path) -> list[dict[str, str]]:
    """Return the table of epochs of a run."""
    with (folder / "history.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
