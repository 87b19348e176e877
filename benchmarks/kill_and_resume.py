"""`python benchmarks/kill_and_resume.py`: kill a run at random moments, resume it, compare it with the run left alone.

Each run trains on the drawn demo set, frozen and unfrozen, in a process of its own that SIGKILL ends while it trains,
validates or saves. A run survives if resuming its folder ends well; it is identical if weights, optimizer state and
table of epochs are those of the uninterrupted run, bit for bit. `--also trainer=ddp_cpu` kills the first of two
processes. With `--from-start` the moment may also lie before the training, `--also data.cache=disk` then kills while
the cache is built. `--exports 5` kills exports of the run: what appears is whole, and the next one is the same.
"""

import argparse
import csv
import os
import random
import shutil
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
    parser.add_argument("--exports", type=int, default=0, help="how many exports are killed")
    parser.add_argument("--also", nargs="*", default=[], help="further overrides of the runs")
    parser.add_argument("--from-start", action="store_true", help="kill from the start of the process, not of training")
    parser.add_argument("--seed", type=int, default=0, help="decides the moments")
    parser.add_argument("--out", type=Path, default=Path("outputs/kill_and_resume"), help="folder of the runs; new")
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    out.mkdir(parents=True)
    os.environ["XDG_CACHE_HOME"] = str(out / "cache")
    command = [*RUN, f"data.root={out}", *arguments.also]
    started = time.perf_counter()
    train(*command, f"hydra.run.dir={out / 'straight'}")
    whole = time.perf_counter() - started
    training = sum(float(row["seconds"]) for row in rows(out / "straight"))
    print(f"uninterrupted: {whole:.1f} s, {training:.1f} s of it training", flush=True)
    draw = random.Random(arguments.seed)
    outcomes = []
    for number in range(arguments.kills):
        workers = [f"data.num_workers={WORKERS[(number + turn) % len(WORKERS)]}" for turn in (0, 1)]
        if arguments.from_start:
            shutil.rmtree(out / "cache", ignore_errors=True)
        seconds = draw.uniform(0, whole if arguments.from_start else training)
        typed = [*command, workers[0], f"hydra.run.dir={out / str(number)}"]
        kill(typed, seconds, None if arguments.from_start else "train_loss")
        outcomes.append(resumed(out / str(number), out / "straight", seconds, typed, workers[1]))
        print(outcomes[-1], flush=True)
    survived, identical = (sum(getattr(one, name) for one in outcomes) for name in ("survived", "identical"))
    print(f"survived {survived} of {len(outcomes)}, identical {identical} of {len(outcomes)}")
    same_exports = kill_exports(out, arguments.exports, draw) if arguments.exports else 0
    sys.exit(identical < len(outcomes) or same_exports < arguments.exports)


def kill(command: list[str], seconds: float, after: str | None = None) -> None:
    """Start a command and kill it some seconds after its start, or after a line with certain words."""
    process = subprocess.Popen([sys.executable, TRAIN, *command], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    if after:
        next(line for line in process.stdout if after in line)
    time.sleep(seconds)
    process.kill()
    process.communicate()


def kill_exports(out: Path, kills: int, draw: random.Random) -> int:
    """Kill exports at random moments and export again; return how often the files were those of an undisturbed one."""

    def command(name: str) -> list[str]:
        return ["task=export", f"ckpt_path={out / 'straight'}", f"hydra.run.dir={out / name}"]

    started = time.perf_counter()
    train(*command("undisturbed"))
    duration = time.perf_counter() - started
    equal = 0
    for number in range(kills):
        folder, seconds = out / f"export{number}", draw.uniform(0, duration)
        kill(command(folder.name), seconds)
        there = (folder / "export").exists()
        code = 0 if there else train(*command(folder.name))
        same_files = exported(folder / "export") == exported(out / "undisturbed" / "export")
        equal += same_files and code == 0
        said = f"{'whole already' if there else 'exported again'}: {'the same' if same_files else 'ANOTHER'}"
        print(f"export killed at {seconds:5.2f} s, {said}", flush=True)
    print(f"exports the same: {equal} of {kills}")
    return equal


def exported(folder: Path) -> dict[str, bytes | None]:
    """Return the files of an export; of those whose format holds a time, the name alone."""
    return {file.name: None if file.suffix in (".pt2", ".onnx") else file.read_bytes() for file in folder.iterdir()}


def resumed(folder: Path, straight: Path, seconds: float, typed: list[str], workers_of_the_rest: str) -> Outcome:
    """Resume a killed run, or start it again where it left no checkpoint, and compare its end."""
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
