"""A linear head solved from features, its regularisation chosen by cross-validation."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pets.model.closed_form import Linear, Moments, discriminant_of
from pets.model.logistic import logistic
from pets.settings.model import Head

FOLDS = 5
"""Of the cross-validation."""
TRIED = {
    "shrinkage": (1.0, 0.99, 0.98, 0.95, 0.9, 0.8, 0.5, 0.2, 0.1, 0.05, 0.02),
    "C": (0.001, 0.01, 0.1, 1.0, 10.0, 100.0),
}
"""What `auto` tries of a key, the strongest regularisation first."""
DEFAULT = {"shrinkage": 0.9, "C": 1.0}
"""What `auto` takes where there are too few items to leave any out."""
PATIENCE = 2
"""Values in a row worse than the best, after which `auto` tries no weaker one."""
SMOOTHING = 0.01
"""Label smoothing of the cross entropy that calibrates: keeps the temperature finite where no item is misclassified."""

Solver = Callable[[float, int | None], Linear]
"""From a regularisation, and a fold to leave out or None, to a head."""


class Trial(NamedTuple):
    """What the cross-validation says of one value; the best one has the lowest loss."""

    loss: float
    """Mean cross entropy of the items left out."""
    value: float
    error: float
    """Share of these items that is misclassified."""
    scale: float
    """The inverse temperature that is best for them; 1 for logistic regression, which needs none."""


class Solution(NamedTuple):
    """A linear head, and how its regularisation was chosen."""

    weight: Tensor
    """float64 (C, F)."""
    bias: Tensor
    """float64 (C,)."""
    key: str
    """`shrinkage` or `C`."""
    value: float
    """What it was solved with."""
    trials: tuple[Trial, ...]
    """All that was tried, by ascending value; empty where the value was given."""
    n: int
    """Items that the cross-validation left out in turn."""


def solve_head(features: Tensor, targets: Tensor, n_classes: int, options: Head) -> Solution:
    """Return the head that `options` ask for, of features float (n, F) and classes int64 (n,).

    The probabilities of a discriminant are far too high where features outnumber items. Its weight and bias are
    therefore multiplied by the inverse temperature that is best in the cross-validation. It changes no prediction.

    Raises:
        UserError: A class without items, or features without spread within the classes.
    """
    features = features.double()
    inner, basis = rotated(features)
    fold = folds(targets)
    if options.init == "lda":
        key, given = "shrinkage", options.shrinkage
        solve = discriminants(inner, targets, n_classes, fold, features.shape[1])
    else:
        key, given = "C", options.C
        solve = _regressions(inner, targets, n_classes, fold)
    trials: list[Trial] = []
    # Without a fold, some class has to have two items still: a covariance within the classes needs them.
    can_validate = all((fold != k).sum() > n_classes for k in range(FOLDS))
    n = int((fold >= 0).sum()) if can_validate else 0
    for value in TRIED[key] if given == "auto" else (given,):
        if n == 0 or _is_past_the_best(trials):
            break
        trials.append(_cross_validated(solve, value, inner, targets, fold, calibrated=key == "shrinkage"))
    best = min(trials, default=Trial(0.0, DEFAULT[key] if given == "auto" else given, 0.0, 1.0))
    weight, bias = solve(best.value, None)
    weight = weight if basis is None else weight @ basis.T
    tried = tuple(sorted(trials, key=lambda trial: trial.value)) if given == "auto" else ()
    return Solution(weight * best.scale, bias * best.scale, key, best.value, tried, n)


def folds(targets: Tensor) -> Tensor:
    """Deal the items of each class to `FOLDS` folds in turn, in their order: int64 (n,).

    The only item of a class gets -1: it is never left out.
    """
    onehot = F.one_hot(targets)
    seen_before = (onehot.cumsum(0) * onehot).sum(1) - 1
    alone = onehot.sum(0)[targets] == 1
    return torch.where(alone, -1, seen_before % FOLDS)


def inverse_temperature(logits: Tensor, targets: Tensor) -> float:
    """Return 1 / T of temperature scaling: the factor in [1e-4, 1e4] on float64 logits (n, C) of least cross entropy.

    The cross entropy is convex in 1 / T, hence has one minimum: Newton's method finds it, and halves its bracket where
    a step would leave it.
    Source: Guo et al. (2017), On calibration of modern neural networks, section 4.2.
    """
    aim = (1 - SMOOTHING) * logits.gather(1, targets[:, None])[:, 0] + SMOOTHING * logits.mean(1)
    low, high = 1e-4, 1e4
    factor = min(max(1 / (float(logits.std()) or 1.0), low), high)
    for _ in range(60):
        probabilities = (logits * factor).softmax(1)
        mean = (probabilities * logits).sum(1)
        slope = float((mean - aim).mean())
        curvature = float(((probabilities * logits.square()).sum(1) - mean.square()).mean())
        low, high = (low, factor) if slope > 0 else (factor, high)
        newton = factor - slope / curvature if curvature > 0 else low
        before, factor = factor, newton if low < newton < high else (low * high) ** 0.5
        if abs(factor - before) <= 1e-9 * factor:
            break
    return factor


def rotated(features: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return features in as many dimensions as there are items, if these are fewer, and the basis (F, n) of these.

    Both solvers depend on inner products alone, so nothing is lost, and 300 items of 1,280 features take a
    twentieth of the time.
    """
    if len(features) >= features.shape[1]:
        return features, None
    basis, coordinates = torch.linalg.qr(features.T)
    return coordinates.T, basis


def discriminants(features: Tensor, targets: Tensor, n_classes: int, fold: Tensor, n_features: int) -> Solver:
    """Return the solver of linear discriminants without a fold of the items; it looks at every item once.

    Args:
        features: Float64 (n, D).
        targets: int64 (n,) class indices.
        n_classes: Number of classes.
        fold: int64 (n,), see `folds`.
        n_features: What the features were before they were rotated into D dimensions; else D.
    """
    parts = {k: Moments.of(features[fold == k], targets[fold == k], n_classes) for k in range(-1, FOLDS)}
    whole = parts[-1]
    for k in range(FOLDS):
        whole = whole.plus(parts[k])

    def solve(value: float, left_out: int | None) -> Linear:
        moments = whole if left_out is None else whole.plus(parts[left_out], -1)
        return discriminant_of(moments, value, n_features)

    return solve


def _regressions(features: Tensor, targets: Tensor, n_classes: int, fold: Tensor) -> Solver:
    found: dict[int | None, Linear] = {}

    def solve(value: float, left_out: int | None) -> Linear:
        kept = fold != (FOLDS if left_out is None else left_out)
        found[left_out] = logistic(features[kept], targets[kept], n_classes, value, start=found.get(left_out))
        return found[left_out]

    return solve


def _cross_validated(
    solve: Solver, value: float, features: Tensor, targets: Tensor, fold: Tensor, calibrated: bool
) -> Trial:
    logits, truth = [], []
    for k in range(FOLDS):
        here = fold == k
        weight, bias = solve(value, k)
        logits.append(features[here] @ weight.T + bias)
        truth.append(targets[here])
    judged, actual = torch.cat(logits), torch.cat(truth)
    scale = inverse_temperature(judged, actual) if calibrated else 1.0
    loss = F.cross_entropy(judged * scale, actual, label_smoothing=SMOOTHING if calibrated else 0.0)
    return Trial(float(loss), value, float((judged.argmax(1) != actual).double().mean()), scale)


def _is_past_the_best(trials: list[Trial]) -> bool:
    best = min(trials, default=None)
    return best is not None and len(trials) - trials.index(best) > PATIENCE
