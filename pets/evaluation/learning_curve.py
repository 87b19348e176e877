"""What more photographs would change: the error of a solved head against their number, and a forecast."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binomtest
from torch import Tensor

from pets import console
from pets.errors import UserError
from pets.evaluation.comparison import bootstrap_errors, holm
from pets.evaluation.features import Features
from pets.model.closed_form import Linear, Moments, discriminant_of
from pets.model.head_solver import rotated, solve_head
from pets.model.logistic import logistic
from pets.settings.model import Head

SIZES = 5
"""Sizes at most, each half the next: the smallest is a sixteenth."""
FEWEST = 2
"""Images of the median class at the smallest size: a covariance within classes needs two."""
EXPONENT = (0.75, 0.25)
"""Mean and standard deviation of what is known of an exponent before anything is measured. It is 1 where the error is
that of estimated means (Fukunaga and Hayes, 1989, Effects of sample size in classifier design), and about 1/2 for
classifiers of photographs (Hoiem et al., 2021, Learning curves for analysis of deep networks)."""
MISFIT = 0.1
"""Standard deviation, in the logarithm of the odds, by which true curves leave a power law. At 0.05 the intervals of
Caltech-101, whose head changes with the shrinkage chosen for each size, covered 82% instead of 90%."""
LEVEL = 0.05
"""Chance that any class is named that errs no more than the others."""
DRAWS = 4000


class Curve(NamedTuple):
    """How a head errs on the same V validation images after training on K nested subsets, drawn in R repeats."""

    sizes: tuple[int, ...]
    """Training images of each subset, ascending; the last is all of them."""
    regularisation: tuple[float, ...]
    """`shrinkage` or `C` of each size."""
    wrong: NDArray[np.bool_]
    """(K, R, V)."""

    @property
    def errors(self) -> NDArray[np.float64]:
        """float64 (K, R) error rates."""
        errors: NDArray[np.float64] = self.wrong.mean(axis=2)
        return errors


class PowerLaw(NamedTuple):
    """Draws of error(size) / (1 - error(size)) = odds * (offset + (1 - offset) * (size / measured) ** -exponent)."""

    measured: int
    """Training images of the whole curve."""
    odds: float
    """Of an error there."""
    offset: NDArray[np.float64]
    """float64 (DRAWS,) in (0, 1): share of `odds` that no number of images would take away."""
    exponent: NDArray[np.float64]
    """float64 (DRAWS,) above 0."""

    def errors(self, size: float) -> NDArray[np.float64]:
        """Return the error rate after training on so many images, float64 (DRAWS,)."""
        odds = self.odds * (self.offset + (1 - self.offset) * (size / self.measured) ** -self.exponent)
        return odds / (1 + odds)


class Forecast(NamedTuple):
    """An error rate that is expected, in [0, 1], and the ends of its 90% interval."""

    value: float
    low: float
    high: float


class ClassErrors(NamedTuple):
    """How a head errs on one class."""

    label: str
    train: int
    """Training images of the class."""
    valid: int
    """Validation images of the class."""
    half: float
    """Error rate with half of the training images, the mean over the repeats."""
    whole: float
    """Error rate with all of them."""
    p: float
    """Of an error rate, at half, no higher than that of all classes: binomial test, corrected for their number."""


def shares(targets: Tensor) -> tuple[float, ...]:
    """Return the shares of the training images that are tried: halves of halves, ascending up to 1.

    Args:
        targets: int64 (n,) their classes.

    Raises:
        UserError: There are too few to halve even once.
    """
    counts = targets.bincount()
    median = int(counts[counts > 0].median())
    found = [0.5**k for k in range(SIZES) if median * 0.5**k >= FEWEST]
    if len(found) < 2:
        raise UserError(
            f"task=learning_curve: half of the classes have {median} training images or fewer; it needs {2 * FEWEST}"
        )
    return tuple(reversed(found))


def orders(n: int, repeats: int, seed: int) -> list[Tensor]:
    """Return so many permutations of n images, int64 (n,)."""
    rng = np.random.default_rng(seed)
    return [torch.from_numpy(rng.permutation(n)) for _ in range(repeats)]


def subset(order: Tensor, targets: Tensor, share: float) -> Tensor:
    """Return ascending int64 indices of a share of the images of each class; a smaller share is part of a larger one.

    Args:
        order: int64 (n,) a permutation: the first images of a class in it are taken, at least one.
        targets: int64 (n,) classes of the images, by index.
        share: In (0, 1].
    """
    one_class = [order[targets[order] == label] for label in np.unique(targets.numpy()).tolist()]
    return torch.cat([rows[: max(1, round(share * len(rows)))] for rows in one_class]).sort().values


def choose(train: Features, n_classes: int, options: Head, order: Tensor) -> tuple[float, ...]:
    """Return the `shrinkage` or `C` of each share of the training images, see `pets.model.head_solver.solve_head`.

    Args:
        train: Of the training images; every class occurs.
        n_classes: Number of classes.
        options: How the head is solved; `init` is not random.
        order: See `subset`.

    Raises:
        UserError: Too few training images, or features that do not differ within the classes.
    """
    parts = [subset(order, train.targets, share) for share in shares(train.targets)]
    return tuple(solve_head(train.values[rows], train.targets[rows], n_classes, options).value for rows in parts)


def measure(
    train: Features, valid: Features, n_classes: int, init: str, regularisation: tuple[float, ...], drawn: list[Tensor]
) -> Curve:
    """Return the curve of a head.

    Args:
        train: Of the training images; every class occurs.
        valid: Of the images that it is tried on.
        n_classes: Number of classes.
        init: `lda` or `logistic`.
        regularisation: `shrinkage` or `C` of each share, as `choose` gives them.
        drawn: Orders of the training images, see `subset`; one for each repeat.

    Raises:
        UserError: As in `choose`.
    """
    tried, width = shares(train.targets), train.values.shape[1]
    features, basis = rotated(train.values.double())
    judged = valid.values.double() if basis is None else valid.values.double() @ basis
    wrong = np.empty((len(tried), len(drawn), len(valid.targets)), dtype=np.bool_)
    sizes = [0] * len(tried)
    with console.progress("learning curve", wrong[..., 0].size) as bar:
        for place, (share, value) in enumerate(zip(tried, regularisation, strict=True)):
            for repeat, order in enumerate(drawn):
                if share < 1 or repeat == 0:  # all images are the same in every order
                    rows = subset(order, train.targets, share)
                    targets, sizes[place] = train.targets[rows], len(rows)
                    weight, bias = _solved(features[rows], targets, n_classes, init, value, width)
                    found = ((judged @ weight.T + bias).argmax(1) != valid.targets).numpy()
                wrong[place, repeat] = found
                bar.advance(1)
    return Curve(tuple(sizes), regularisation, wrong)


def _solved(features: Tensor, targets: Tensor, n_classes: int, init: str, value: float, n_features: int) -> Linear:
    """Return the head as `solve_head` does, without calibration, which changes no prediction."""
    if init == "lda":
        return discriminant_of(Moments.of(features, targets, n_classes), value, n_features)
    return logistic(features, targets, n_classes, value)


def fit(curve: Curve, seed: int = 0) -> PowerLaw:
    """Fit a power law with an offset to the odds of an error: draws from its posterior, on a grid.

    Odds, because they are a power of the number of images down to few a class, where an error is bound by that of
    chance; a small error and its odds are the same. The data are the logarithms of the odds beside those of all images,
    their covariance that of a bootstrap over validation images and repeats, plus `MISFIT`. Prior: `EXPONENT`, and for
    the offset a density that falls linearly to nothing at 1, where no further image would help.
    """
    rng = np.random.default_rng(seed)
    n_sizes, repeats, n = curve.wrong.shape
    drawn = bootstrap_errors(curve.wrong.reshape(n_sizes * repeats, n).T.astype(np.float64), rng)
    chosen = rng.integers(0, repeats, (len(drawn), 1, repeats))
    drawn = np.take_along_axis(drawn.reshape(-1, n_sizes, repeats), chosen, axis=2).mean(axis=2)
    sampled = _log_odds(drawn, n)
    covariance = np.atleast_2d(np.cov(sampled[:, :-1] - sampled[:, -1:], rowvar=False))
    covariance += MISFIT**2 * np.eye(n_sizes - 1)
    measured = _log_odds(curve.errors.mean(axis=1), n)
    exponent, offset = (
        grid.ravel() for grid in np.meshgrid(np.linspace(0.05, 2, 40), (np.arange(40) + 0.5) / 40, indexing="ij")
    )
    sizes = np.array(curve.sizes[:-1]) / curve.sizes[-1]
    expected = np.log(offset[:, None] + (1 - offset[:, None]) * sizes ** -exponent[:, None])
    off = measured[:-1] - measured[-1] - expected
    log_weight = -0.5 * np.einsum("ij,jk,ik->i", off, np.linalg.inv(covariance), off)
    log_weight += np.log(1 - offset) - 0.5 * ((exponent - EXPONENT[0]) / EXPONENT[1]) ** 2
    weight = np.exp(log_weight - log_weight.max())
    drawn_cells = rng.choice(len(weight), DRAWS, p=weight / weight.sum())
    return PowerLaw(curve.sizes[-1], float(np.exp(measured[-1])), offset[drawn_cells], exponent[drawn_cells])


def forecast(law: PowerLaw, size: int, n: int, seed: int = 0) -> Forecast:
    """Return what is expected of a head that is trained on `size` images and tried on the same `n` validation images.

    The interval holds what the fit leaves open, `MISFIT`, and the binomial noise of counting errors among n images.
    """
    rng = np.random.default_rng(seed)
    expected = law.errors(size)
    odds = expected / (1 - expected) * np.exp(rng.normal(0, MISFIT, len(expected)))
    low, high = np.quantile(rng.binomial(n, odds / (1 + odds)) / n, [0.05, 0.95])
    value = float(expected.mean())
    return Forecast(value, min(float(low), value), max(float(high), value))


def by_class(curve: Curve, train: Tensor, valid: Tensor, classes: tuple[str, ...]) -> list[ClassErrors]:
    """Return the errors of each class that has validation images, first those that would gain most.

    A class gains about in proportion to what is still wrong in it, so the errors decide: those with half of the images,
    which are a mean over repeats. What it gained from the other half is mostly luck where it has few images.

    Args:
        curve: As measured.
        train: int64 classes of all its training images.
        valid: int64 (V,) classes of its validation images.
        classes: Their names.
    """
    half, whole = curve.wrong[-2].mean(axis=0), curve.wrong[-1].mean(axis=0)
    found = []
    for label, name in enumerate(classes):
        here = (valid == label).numpy()
        if n := int(here.sum()):
            p = float(binomtest(round(half[here].sum()), n, half.mean(), alternative="greater").pvalue)
            n_train = int((train == label).sum())
            found.append(ClassErrors(name, n_train, n, float(half[here].mean()), float(whole[here].mean()), p))
    corrected = holm([one.p for one in found])
    return sorted(
        (one._replace(p=p) for one, p in zip(found, corrected, strict=True)), key=lambda one: (one.p, -one.half)
    )


def _log_odds(errors: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return log(error / (1 - error)) of shares of n images, half an image added on either side: finite at 0 and 1."""
    odds: NDArray[np.float64] = np.log((errors * n + 0.5) / ((1 - errors) * n + 0.5))
    return odds
