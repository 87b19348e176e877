"""The 95% interval of a share (Wilson), and mean and standard deviation over repeated runs."""

from collections.abc import Sequence
from math import sqrt
from statistics import NormalDist, fmean, stdev
from typing import NamedTuple

Z95 = NormalDist().inv_cdf(0.975)
"""Half-width, in standard deviations, of a two-sided 95% interval."""


class Interval(NamedTuple):
    """An estimate between the ends of its 95% interval, all three in [0, 1]."""

    value: float
    low: float
    high: float


def wilson(successes: int, n: int) -> Interval:
    """Return the share of successes with its Wilson score interval, which behaves at 0, at 1 and for small n.

    Source: Wilson (1927), Probable inference, the law of succession, and statistical inference.

    Raises:
        ValueError: Unless 0 <= successes <= n and n >= 1.
    """
    if not (n >= 1 and 0 <= successes <= n):
        raise ValueError(f"wilson: successes must be 0 to n and n at least 1, got {successes} of {n}")
    share, z2 = successes / n, Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    # At 0 and at n successes one end equals the estimate; min and max absorb the rounding.
    return Interval(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


class Spread(NamedTuple):
    """A number over n repeats, such as seeds."""

    mean: float
    sd: float | None
    """Sample standard deviation; None for a single repeat."""
    n: int


def spread(values: Sequence[float]) -> Spread:
    """Return mean and sample standard deviation of at least one value."""
    return Spread(fmean(values), stdev(values) if len(values) > 1 else None, len(values))
