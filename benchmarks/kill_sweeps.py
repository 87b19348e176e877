"""`python benchmarks/kill_sweeps.py`: kill a sweep at random moments, run it again each time, compare its leaderboard.

A folder is swept again and again. SIGKILL ends sometimes the outer process alone and sometimes its jobs as well, so
that jobs of the sweep before may still write when the next one begins. A sweep that ends before it is killed is
compared and removed, and the next begins anew; the last one is left alone. Every leaderboard is to be that of a sweep
that nobody disturbed, but for the times.
"""

import argparse
import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

TRAIN = Path(__file__).resolve().parents[1] / "train.py"
SWEEP = (
    "-m", "data=demo", "data.source.per_breed=5", "data.presize.size=72", "augment.size=64", "data.batch_size=4",
    "data.num_workers=0", "model=resnet18", "model.weights=null", "model.head.hidden=16", "recipe.freeze_epochs=1",
    "recipe.epochs=2", "trainer=cpu", "evaluate.at_end=false", "callbacks.progress.bar=off", "seed=0,1,2",
)  # fmt: skip
TIMES = ("seconds",)


def main() -> None:
    """Sweep, kill, sweep again, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10, help="how often the sweep is killed")
    parser.add_argument("--jobs", type=int, default=1, help="jobs at once; more than one needs pets[joblib]")
    parser.add_argument("--seed", type=int, default=0, help="decides the moments and the victims")
    parser.add_argument("--out", type=Path, default=Path("outputs/kill_sweeps"), help="folder of the sweeps; new")
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    out.mkdir(parents=True)
    parallel = [] if arguments.jobs == 1 else ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={arguments.jobs}"]
    command = [sys.executable, str(TRAIN), *SWEEP, *parallel, f"data.root={out}"]
    started = time.perf_counter()
    subprocess.run([*command, f"hydra.sweep.dir={out / 'straight'}"], check=True, stdout=subprocess.DEVNULL)
    duration = time.perf_counter() - started
    print(f"undisturbed: {duration:.1f} s", flush=True)
    draw = random.Random(arguments.seed)
    killed = [*command, f"hydra.sweep.dir={out / 'killed'}"]
    kills, ended, equal = 0, 0, 0
    while kills < arguments.kills:
        seconds, everything = draw.uniform(0, duration), draw.random() < 0.5
        if kill_after(seconds, everything, killed):
            kills += 1
            print(
                f"{kills}: after {seconds:.1f} s, {'with its jobs' if everything else 'the outer process alone'}",
                flush=True,
            )
        else:
            ended, equal = ended + 1, equal + same(out)
            shutil.rmtree(out / "killed")
    subprocess.run(killed, check=False, stdout=subprocess.DEVNULL)
    ended, equal = ended + 1, equal + same(out)
    print(f"{kills} kills, {ended} sweeps that ended, {equal} of them with the leaderboard of the undisturbed one")
    sys.exit(equal < ended)


def kill_after(seconds: float, everything: bool, command: list[str]) -> bool:
    """Start a sweep and kill it, with or without its jobs, after some seconds; False if it ended before."""
    sweep = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        sweep.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        if everything:
            os.killpg(sweep.pid, signal.SIGKILL)
        else:
            sweep.kill()
        sweep.wait()
        return True
    return False


def same(out: Path) -> bool:
    """Compare the leaderboards of the killed and of the undisturbed sweep."""
    return (out / "killed" / "leaderboard.csv").exists() and rows(out / "killed") == rows(out / "straight")


def rows(sweep: Path) -> list[dict[str, str]]:
    """Return the leaderboard of a sweep without times."""
    with (sweep / "leaderboard.csv").open(newline="", encoding="utf-8") as file:
        return [{key: value for key, value in row.items() if key not in TIMES} for row in csv.DictReader(file)]


if __name__ == "__main__":
    main()
