"""`python -m benchmarks.results FOLDER... --out RESULTS.md`: tables of error rates from the metrics.json of runs.

A folder is a run or holds runs, such as a sweep. Runs whose commands differ only in their seeds stand in one table.
"""

import argparse
import json
import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from pets.evaluation.intervals import Interval, wilson

SEEDS = ("seed", "data.split.seed")
"""Keys in which the runs of one table differ."""
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
        overrides: Key and value as typed, without the seeds and where to write.
        seeds: (seed of the run, seed of the split).
        wrong: Validation images that were misjudged.
        n: Validation images.
        seconds: Wall-clock time of training and evaluation.
        versions: Version of each package.
    """

    overrides: tuple[tuple[str, str], ...]
    seeds: tuple[int, int]
    wrong: int
    n: int
    seconds: float
    versions: tuple[tuple[str, str], ...]

    @property
    def error(self) -> Interval:
        """Error rate with its interval."""
        return wilson(self.wrong, self.n)


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
    pairs = [tuple(re.split("=", text, maxsplit=1)) for text in typed]
    n = metrics["n"]["valid"]
    return Run(
        overrides=tuple((key, value) for key, value in pairs if key not in (*SEEDS, *NOT_OF_THE_RUN)),
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
    groups: dict[tuple[tuple[str, str], ...], list[Run]] = {}
    for run in runs:
        groups.setdefault(tuple(sorted(run.overrides)), []).append(run)
    return "\n".join(["# Results", "", ABOUT, *(_table(group) for group in groups.values())])


def _table(runs: Sequence[Run]) -> str:
    runs = sorted(runs, key=lambda run: run.seeds)
    options = dict(runs[0].overrides)
    title = options.get("experiment", "default")
    lines = [
        f"## {title}",
        "",
        f"    {_command(runs)}",
        "",
        "| seed | split | n | wrong | error rate | 95% interval | minutes |",
        "|---:|---:|---:|---:|---:|---|---:|",
        *(_row(str(run.seeds[0]), str(run.seeds[1]), run.wrong, run.n, f"{run.error.value:.4f}", run.seconds)
          for run in runs),
    ]  # fmt: skip
    rates = [run.error.value for run in runs]
    if len(runs) > 1:
        mean = f"**{statistics.fmean(rates):.4f}**, sd {statistics.stdev(rates):.4f}"
        wrong, n = sum(run.wrong for run in runs), sum(run.n for run in runs)
        lines.append(_row(f"all {len(runs)}", "", wrong, n, mean, statistics.fmean(run.seconds for run in runs)))
    versions = ", ".join(f"{name} {version}" for name, version in runs[0].versions)
    return "\n".join([*lines, "", f"With {versions}.", ""])


def _row(seed: str, split: str, wrong: int, n: int, rate: str, seconds: float) -> str:
    interval = wilson(wrong, n)
    cells = (seed, split, n, wrong, rate, f"{interval.low:.3f} to {interval.high:.3f}", f"{seconds / 60:.1f}")
    return f"| {' | '.join(map(str, cells))} |"


def _command(runs: Sequence[Run]) -> str:
    """Return the command of the runs, with a letter for a seed that differs between them."""
    seeds = [f"{key}={values[0] if len(set(values)) == 1 else 'S'}" for key, values in zip(
        SEEDS, zip(*(run.seeds for run in runs), strict=True), strict=True)]  # fmt: skip
    typed = (f"{key}={Path(value).name if value.startswith('/') else value}" for key, value in runs[0].overrides)
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
