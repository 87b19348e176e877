"""What `benchmarks.accuracy` measured: tables, the paired test, and the picture of error against minutes."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from matplotlib.figure import Figure

from pets.evaluation.comparison import mcnemar_p
from pets.evaluation.figures.style import GRID, SERIES, styled
from pets.evaluation.intervals import wilson
from pets.sweep.ranking import table


@dataclass(frozen=True)
class Measured:
    """One fit.

    Attributes:
        name: Of the contender.
        seed: Of the run.
        n: Validation images.
        wrong: Those that are misjudged after the last epoch.
        epochs: Minutes, processor minutes and error rate after each epoch.
        load: Load average of the machine at the start and at the end.
    """

    name: str
    seed: int
    n: int
    wrong: tuple[str, ...]
    epochs: tuple[dict[str, float], ...]
    load: tuple[float, ...]

    @classmethod
    def read(cls, name: str, told: dict[str, Any]) -> "Measured":
        """Read what `benchmarks.training_side` left."""
        parts = (told["wrong"], told["epochs"], told["load"])
        return cls(name, told["run"]["seed"], told["n"], *map(tuple, parts))

    def plain(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        last = self.epochs[-1]
        return (
            f"{self.name}, seed {self.seed}: {len(self.wrong)} of {self.n} wrong, {last['minutes']:.1f} minutes, "
            f"{last['cpu_minutes']:.1f} of processors, load {self.load}"
        )


Runs = dict[int, Measured]
"""By seed."""


def contenders(measured: Sequence[Measured]) -> dict[str, Runs]:
    """Return the runs of each contender."""
    found: dict[str, Runs] = {}
    for each in measured:
        found.setdefault(each.name, {})[each.seed] = each
    return found


def discordant(first: Runs, second: Runs) -> tuple[int, int]:
    """Return how many validation images only the first misjudges, and only the second, over the seeds of both."""
    pairs = [(set(first[seed].wrong), set(second[seed].wrong)) for seed in first if seed in second]
    return sum(len(a - b) for a, b in pairs), sum(len(b - a) for a, b in pairs)


def markdown(measured: Sequence[Measured]) -> str:
    """Return the tables: errors and times, the paired tests, and the error after each epoch."""
    found = contenders(measured)
    header = [
        "contender",
        "seeds",
        "wrong",
        "error",
        "95% interval",
        "minutes",
        "of fastai's",
        "CPU min",
        "of fastai's",
    ]
    tables = [table(header, [_row(name, found) for name in found]), _pairs(found), _epochs(found)]
    return "\n\n".join(tables) + "\n"


def _row(name: str, found: dict[str, Runs]) -> list[str]:
    runs = found[name]
    wrong, n = sum(len(run.wrong) for run in runs.values()), sum(run.n for run in runs.values())
    interval = wilson(wrong, n)
    cells = [
        name,
        str(len(runs)),
        f"{wrong} of {n}",
        f"{interval.value:.4f}",
        f"{interval.low:.3f} to {interval.high:.3f}",
    ]
    for clock in ("minutes", "cpu_minutes"):
        ratios = [
            run.epochs[-1][clock] / found["fastai"][seed].epochs[-1][clock]
            for seed, run in runs.items()
            if seed in found.get("fastai", {})
        ]
        cells.append(f"{statistics.median(run.epochs[-1][clock] for run in runs.values()):.2f}")
        cells.append(f"{statistics.median(ratios):.2f}" if ratios else "")
    return cells


def _pairs(found: dict[str, Runs]) -> str:
    """Return the table of paired tests: ours against fastai, and everything else against ours."""
    rows = []
    for name in found:
        other = "fastai" if name == "ours" else "ours"
        if name == "fastai" or other not in found:
            continue
        only_first, only_second = discordant(found[name], found[other])
        p = mcnemar_p(only_first, only_second)
        rows.append([name, other, str(only_first), str(only_second), f"{p:.4f}" if p >= 1e-4 else "< 0.0001"])
    return table(["contender", "against", "only it is wrong", "only the other", "exact McNemar p"], rows)


def _epochs(found: dict[str, Runs]) -> str:
    rows = []
    for name, runs in found.items():
        for number, (minutes, error) in enumerate(curve(runs)):
            rows.append([name, str(number), f"{minutes:.2f}", f"{error:.4f}"])
    return table(["contender", "epoch", "minutes, median", "error"], rows)


def curve(runs: Runs, clock: str = "minutes") -> list[tuple[float, float]]:
    """Return (median minutes, error rate of all validation images) after each epoch, of the seeds that got as far."""
    n = sum(run.n for run in runs.values())
    return [
        (
            statistics.median(epoch[clock] for epoch in epochs),
            sum(epoch["error"] * run.n for epoch, run in zip(epochs, runs.values(), strict=True)) / n,
        )
        for epochs in zip(*(run.epochs for run in runs.values()), strict=True)
    ]


@styled
def picture(measured: Sequence[Measured]) -> Figure:
    """Draw error against minutes, and against minutes of processors: thin, each seed; thick, all of them."""
    figure = Figure(figsize=(8, 3.6))
    axes = figure.subplots(1, 2, sharey=True)
    clocks = {"minutes": "minutes from the start of the process", "cpu_minutes": "minutes of processors"}
    shown = [(name, runs) for name, runs in contenders(measured).items() if not name.startswith("ours,")]
    for ax, (clock, label) in zip(axes, clocks.items(), strict=True):
        for colour, (name, runs) in zip(SERIES, shown, strict=False):
            for run in runs.values():
                points = [(epoch[clock], 100 * epoch["error"]) for epoch in run.epochs]
                ax.plot(*zip(*points, strict=True), color=colour, alpha=0.25, linewidth=1)
            points = [(minutes, 100 * error) for minutes, error in curve(runs, clock)]
            ax.plot(*zip(*points, strict=True), color=colour, marker="o", linewidth=2.5, label=name)
        ax.set_xlabel(label)
        ax.set_xlim(left=0)
        ax.grid(color=GRID)
    axes[0].set_yscale("log")
    for axis in (axes[0].yaxis.set_major_formatter, axes[0].yaxis.set_minor_formatter):
        axis("{x:.3g}")  # 20, not 2 x 10^1
    axes[0].set_ylabel("error on validation images, %")
    axes[1].legend()
    return figure
