"""Whether a difference between classifiers is more than luck: paired tests on the same images. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, norm, t

DRAWS = 1000
"""Bootstrap draws; they estimate a standard error, for which 1,000 are plenty."""
CHUNK = 2**24
"""Weights drawn at a time."""
POWER = 0.8
"""Chance that the evidence called needed is enough."""


@dataclass(frozen=True)
class Difference:
    """The error of one classifier, or of several seeds of it, minus that of another.

    Attributes:
        value: Difference of the (mean) error rates, in [-1, 1].
        p: Two-sided p-value of "no difference".
        images: Variance of `value` that more images make smaller.
        seeds: Variance of `value` that only more seeds make smaller; 0 for two single runs, which do not show it.
    """

    value: float
    p: float
    images: float
    seeds: float = 0.0


def mcnemar(first: NDArray[np.float64], second: NDArray[np.float64]) -> Difference:
    """Compare two runs by the images on which only one of them is wrong, with McNemar's exact test.

    Source: McNemar (1947), Note on the sampling error of the difference between correlated proportions.

    Args:
        first: (n,) 1 where the first run is wrong, 0 where it is right.
        second: The same of the second run, on the same images.
    """
    p = mcnemar_p(int((first > second).sum()), int((second > first).sum()))
    difference = first - second
    return Difference(float(difference.mean()), p, float(difference.var()) / len(difference))


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value of McNemar's exact test, the binomial test of the pairs in which one is wrong."""
    n = only_first + only_second
    return float(binomtest(only_first, n).pvalue) if n else 1.0


def bootstrap_errors(wrong: NDArray[np.float64], rng: np.random.Generator, draws: int = DRAWS) -> NDArray[np.float64]:
    """Return (draws, R) error rates of R runs, each draw with the same random weights of the images for all runs.

    The weights are Poisson's of mean 1, the limit of drawing with replacement.

    Args:
        wrong: (n, R) 1 where a run is wrong, 0 where it is right, NaN where it did not predict the image.
        rng: Where the weights come from.
        draws: Number of draws.
    """
    seen = np.isfinite(wrong)
    mistakes, counts = np.nan_to_num(wrong).astype(np.float32), seen.astype(np.float32)
    rows = max(1, CHUNK // len(wrong))
    found = []
    for start in range(0, draws, rows):
        weights = rng.poisson(1.0, (min(rows, draws - start), len(wrong))).astype(np.float32)
        found.append((weights @ mistakes) / np.maximum(weights @ counts, 1.0))
    return np.concatenate(found).astype(np.float64)


def compare_seeds(
    wrong: NDArray[np.float64], first: Sequence[int], second: Sequence[int], errors: NDArray[np.float64], seed: int = 0
) -> Difference:
    """Compare two settings, each run with several seeds, by a bootstrap over images and over seeds.

    The images are drawn for both settings at once. Of S seeds S - 1 are drawn, since S draws of few make the variance
    too small (Rao and Wu, 1988, Resampling inference with complex survey data). Where the runs of a setting predict
    different images (splits, folds), the k-th runs of both settings stay a pair. Drawing both ways counts the
    interaction of images and seeds twice, so that the test errs on the safe side (Owen, 2007, The pigeonhole
    bootstrap). The p-value is that of Student's t with Satterthwaite's degrees of freedom.

    Args:
        wrong: (n, R) as in `bootstrap_errors`.
        first: Columns of the first setting, 2 or more.
        second: Columns of the second setting, 2 or more; as many as of the first where images differ.
        errors: (draws, R), what `bootstrap_errors` returned for `wrong`.
        seed: Seed of the draws of seeds.
    """
    rng = np.random.default_rng(seed)
    rates = np.nanmean(wrong, axis=0)
    value = float(rates[list(first)].mean() - rates[list(second)].mean())
    paired = not (
        np.isfinite(wrong[:, [*first, *second]]).all(axis=1) | np.isnan(wrong[:, [*first, *second]]).all(1)
    ).all()
    terms = [(list(first), list(second))] if paired else [(list(first), []), (list(second), [])]
    drawn, seeds, freedom = np.zeros(len(errors)), 0.0, 0.0
    for sign, (plus, minus) in zip((1, -1), terms, strict=False):
        of_draws = errors[:, plus] - (errors[:, minus] if minus else 0.0)
        of_runs = rates[plus] - (rates[minus] if minus else 0.0)
        chosen = rng.integers(0, len(plus), (len(errors), len(plus) - 1))
        drawn += sign * np.take_along_axis(of_draws, chosen, axis=1).mean(axis=1)
        variance = float(of_runs.var(ddof=1)) / len(plus)
        freedom += variance**2 / (len(plus) - 1)
        seeds += variance if paired else max(0.0, variance - _interaction(wrong[:, plus]))
    total = float(drawn.var(ddof=1))
    images = max(total - seeds, 0.0)
    if value == 0 or total == 0:
        return Difference(value, 1.0, images, seeds)
    degrees = total**2 / freedom if freedom > 0 else np.inf
    return Difference(value, 2 * float(t.sf(abs(value) / np.sqrt(total), degrees)), images, seeds)


def _interaction(wrong: NDArray[np.float64]) -> float:
    """Return how much seeds would vary in error on these images, (n, S), if each image fell to them by chance alone."""
    seen = wrong[np.isfinite(wrong).all(axis=1)]
    return float(seen.var(axis=1, ddof=1).mean()) / seen.size


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number: the chance of any false claim stays below the level.

    Source: Holm (1979), A simple sequentially rejective multiple test procedure.
    """
    order = np.argsort(p_values, kind="stable")
    steps = np.asarray(p_values)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return [float(p) for p in corrected]


def evidence_needed(difference: Difference, level: float) -> tuple[float, float] | None:
    """Return how many times the images, or else the seeds, it takes to tell a difference of this size.

    Args:
        difference: What was measured; it is taken to be the true difference.
        level: What the p-value must fall below.

    Returns:
        (factor on the images, factor on the seeds), one of them 1 where the other alone is enough, each at least 1;
        None for a difference of 0.
    """
    if difference.value == 0:
        return None
    variance = (difference.value / float(norm.isf(level / 2) + norm.ppf(POWER))) ** 2
    if difference.seeds < 0.8 * variance:  # else images beyond reason
        return max(1.0, difference.images / (variance - difference.seeds)), 1.0
    if difference.images < 0.8 * variance:
        return 1.0, max(1.0, difference.seeds / (variance - difference.images))
    both = (difference.images + difference.seeds) / variance
    return both, both
