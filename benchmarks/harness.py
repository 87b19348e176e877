"""Interleaved timing: rounds of A B C A B C, so that a slow minute of the machine falls on every case alike.

A ratio is taken inside each round and its median is reported, with the interquartile range (IQR). Figures that are not
times (decibels, megabytes) use the same table.
"""

import gc
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """One contender.

    Attributes:
        name: How the table calls it.
        run: Does the work once. It may return the seconds that count; None means the whole call counts.
        items: ImageTable one call processes, for rates.
    """

    name: str
    run: Callable[[], float | None]
    items: int = 1


@dataclass(frozen=True)
class Claim:
    """A target: the figure of `of` divided by the figure of `over` (or, with `difference`, minus it).

    An `over` of None holds the figure of `of` itself against the bound.
    """

    of: str
    over: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    difference: bool = False

    def values(self, measures: dict[str, list[float]]) -> list[float]:
        """Return the ratio (or difference) of every round; empty if a side was not measured."""
        left = measures.get(self.of, [])
        if self.over is None:
            return left
        pairs = zip(left, measures.get(self.over, []), strict=False)
        return [a - b if self.difference else a / b for a, b in pairs]

    def met(self, value: float) -> bool:
        """Whether `value` respects both bounds."""
        low = -math.inf if self.at_least is None else self.at_least
        high = math.inf if self.at_most is None else self.at_most
        return low <= value <= high


@dataclass
class Table:
    """The figures of one benchmark: one list of values a case, one value a round.

    Attributes:
        name: Key in the JSON.
        title: Heading: what was measured, on what.
        unit: Unit of every value.
        digits: Decimals printed.
        mean: The centre reported is the mean, not the median.
        measures: Case name -> values.
        claims: Targets decided on these measures.
        notes: What a reader must know: what was skipped, and why.
    """

    name: str
    title: str
    unit: str
    digits: int = 1
    mean: bool = False
    measures: dict[str, list[float]] = field(default_factory=dict)
    claims: Sequence[Claim] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def centre(self) -> str:
        """Name of the centre reported."""
        return "mean" if self.mean else "median"


@dataclass(frozen=True)
class Spread:
    """Centre and quartiles of a sample."""

    centre: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float], mean: bool = False) -> "Spread":
        """Summarise at least one value; quartiles are inclusive (the extremes count as 0 and 1)."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(statistics.fmean(values) if mean else median, low, high)


def interleave(cases: Sequence[Case], repeats: int, warmup: int = 1) -> dict[str, list[float]]:
    """Run all cases in turn, `warmup` + `repeats` times, and return the seconds of the last `repeats` rounds.

    Args:
        cases: Contenders; their order is the order inside a round.
        repeats: Rounds that count.
        warmup: Rounds that do not.
    """
    seconds: dict[str, list[float]] = {case.name: [] for case in cases}
    for turn in range(warmup + repeats):
        for case in cases:
            gc.collect()
            start = time.perf_counter()
            own = case.run()
            elapsed = time.perf_counter() - start
            if turn >= warmup:
                seconds[case.name].append(elapsed if own is None else own)
    return seconds


def rates(cases: Sequence[Case], seconds: dict[str, list[float]]) -> dict[str, list[float]]:
    """Turn seconds a call into items a second."""
    return {case.name: [case.items / value for value in seconds[case.name]] for case in cases}
