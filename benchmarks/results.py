"""`python -m benchmarks.results FOLDER... --out RESULTS.md`: tables of error rates from the metrics.json of runs.

A folder is a run or holds runs, such as a sweep. Runs whose commands differ only in their seeds stand in one table.
"""

import argparse
import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from pets.evaluation.intervals import spread, wilson
from pets.sweep.ranking import SEEDS, experiments, settings, table

NOT_OF_THE_RUN = ("run_dir", "sweep")
"""Keys that say where a run is written and with which others it was started."""
ABOUT = """\
Written by `python -m benchmarks.results` from the metrics.json of each run. n is the number of validation images, wrong
how many of them were misjudged after the last epoch. Intervals are Wilson's at 95%, sd the sample standard deviation
between runs. The interval of all runs together takes their images for independent, although random splits share some.
Of absolute paths the commands show the last part.
"""


@dataclass(frozen=True)
class Run:
    """What a finished run left.

    Attributes:
        overrides: What was typed, without where to write.
        seeds: (seed of the run, seed of the split).
        wrong: Validation images that were misjudged.
        n: Validation images.
        seconds: Wall-clock time of training and evaluation.
        versions: Version of each package.
    """

    overrides: tuple[str, ...]
    seeds: tuple[int, int]
    wrong: int
    n: int
    seconds: float
    versions: tuple[tuple[str, str], ...]


def read_run(folder: Path) -> Run:
    """Read one run folder.

    Raises:
        FileNotFoundError: The folder lacks metrics.json, or .hydra/overrides.yaml, which says what was typed.
        ValueError: The run measured no validation error.
    """
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    typed: list[str] = yaml.safe_load((folder / ".hydra" / "overrides.yaml").read_text(encoding="utf-8"))
    if "valid/error_rate" not in metrics:
        raise ValueError(f"{folder / 'metrics.json'} has no valid/error_rate")
    n = metrics["n"]["valid"]
    return Run(
        overrides=tuple(text for text in typed if text.partition("=")[0] not in NOT_OF_THE_RUN),
        seeds=(metrics["seed"], metrics["split"]["seed"]),
        wrong=round(metrics["valid/error_rate"] * n),
        n=n,
        seconds=metrics["seconds"],
        versions=tuple(metrics["versions"].items()),
    )


def read_runs(folders: Iterable[Path]) -> list[Run]:
    """Read all runs in or below the folders, in the order of their paths.

    Raises:
        FileNotFoundError: A folder holds no finished run.
    """
    runs = []
    for folder in folders:
        found = sorted(folder.rglob("metrics.json"), key=lambda path: (len(path.parts), path))
        if not found:
            raise FileNotFoundError(f"{folder} holds no metrics.json: no run has finished there")
        runs += [read_run(path.parent) for path in found if (path.parent / ".hydra").is_dir()]
    return runs


def markdown(runs: Iterable[Run]) -> str:
    """Return the whole page."""
    return "\n".join(["# Results", "", ABOUT, *(_section(group) for group in experiments(runs))])


def _section(runs: Sequence[Run]) -> str:
    """Return the table of runs that differ only in their seeds, below their command."""
    runs = sorted(runs, key=lambda run: run.seeds)
    rows = [
        _row(f"{run.seeds[0]}", f"{run.seeds[1]}", run.wrong, run.n, f"{run.wrong / run.n:.4f}", run.seconds)
        for run in runs
    ]
    if len(runs) > 1:
        rate = spread([run.wrong / run.n for run in runs])
        wrong, n = sum(run.wrong for run in runs), sum(run.n for run in runs)
        seconds = statistics.fmean(run.seconds for run in runs)
        rows.append(_row(f"all {rate.n}", "", wrong, n, f"**{rate.mean:.4f}**, sd {rate.sd:.4f}", seconds))
    header = ["seed", "split", "n", "wrong", "error rate", "95% interval", "minutes"]
    title = settings(runs[0]).get("experiment", "default")
    versions = ", ".join(f"{name} {version}" for name, version in runs[0].versions)
    return f"## {title}\n\n    {_command(runs)}\n\n{table(header, rows)}\n\nWith {versions}.\n"


def _row(seed: str, split: str, wrong: int, n: int, rate: str, seconds: float) -> list[str]:
    interval = wilson(wrong, n)
    return [seed, split, str(n), str(wrong), rate, f"{interval.low:.3f} to {interval.high:.3f}", f"{seconds / 60:.1f}"]


def _command(runs: Sequence[Run]) -> str:
    """Return the command of the runs, with a letter for a seed that differs between them."""
    pairs = (text.partition("=") for text in runs[0].overrides)
    typed = [
        f"{key}={Path(value).name if value.startswith('/') else value}" for key, _, value in pairs if key not in SEEDS
    ]
    of_runs = zip(("seed", "data.split.seed"), zip(*(run.seeds for run in runs), strict=True), strict=True)
    seeds = [f"{key}={values[0] if len(set(values)) == 1 else 'S'}" for key, values in of_runs]
    return " ".join(["python train.py", *typed, *seeds])


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.results", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="run folders, or folders that hold some")
    parser.add_argument("--out", type=Path, default=Path("RESULTS.md"), help="the page")
    arguments = parser.parse_args()
    arguments.out.write_text(markdown(read_runs(arguments.folders)), encoding="utf-8")


if __name__ == "__main__":
    main()
