"""A linear head in closed form: linear discriminant analysis of the features of a frozen body."""

import torch
import torch.nn.functional as F
from torch import Tensor

from pets.errors import UserError
from pets.settings.model import Head

FOLDS = 5
"""Folds of the cross-validation that calibrates the discriminant."""
SMOOTHING = 0.01
"""Label smoothing of the calibration's cross entropy: keeps the temperature finite where no item is misclassified."""


def discriminant_head(
    features: Tensor, targets: Tensor, n_classes: int, shrinkage: float = 0.9
) -> tuple[Tensor, Tensor]:
    """Return weight and bias of the linear layer that is the discriminant, calibrated by temperature scaling.

    The discriminant's own probabilities are far too high where features outnumber items. Weight and bias are therefore
    divided by the temperature that minimises the cross entropy in a cross-validation with `FOLDS` folds: training
    starts from a meaningful loss. The temperature changes no prediction.

    Args:
        features: Float (n, F), as the layer will receive them.
        targets: int64 (n,) class indices; every class occurs.
        n_classes: Number of classes C.
        shrinkage: See `discriminant`.

    Returns:
        Float64 weight (C, F) and bias (C,).

    Raises:
        ValueError: As in `discriminant`.
    """
    features = features.double()
    weight, bias = discriminant(features, targets, n_classes, shrinkage)
    fold = _folds(targets)
    logits = torch.empty(len(targets), n_classes, dtype=torch.float64)
    for k in range(FOLDS):
        others = fold != k
        if not torch.bincount(
            targets[others], minlength=n_classes
        ).all():  # a class of one item: nothing to validate with
            return weight, bias
        w, b = discriminant(features[others], targets[others], n_classes, shrinkage)
        logits[~others] = features[~others] @ w.T + b
    scale = inverse_temperature(logits, targets)
    return weight * scale, bias * scale


def discriminant(features: Tensor, targets: Tensor, n_classes: int, shrinkage: float) -> tuple[Tensor, Tensor]:
    """Return weight (C, F) and bias (C,) of linear discriminant analysis with equal priors, float64.

    The covariance within the classes S becomes (1 - shrinkage) S + shrinkage tr(S) / F times the identity.
    Source: Friedman (1989), Regularized discriminant analysis; Hastie et al. (2009), The elements of
    statistical learning, section 4.3.

    Raises:
        UserError: A class without items, no spread within the classes, or a shrinkage outside (0, 1].
    """
    Head(shrinkage=shrinkage)
    features = features.double()
    counts = torch.bincount(targets, minlength=n_classes)
    if empty := (counts == 0).nonzero().flatten().tolist():
        raise UserError(f"model.head.init=lda: class {empty[0]} has no item to learn from")
    means = F.one_hot(targets, n_classes).double().T @ features / counts.unsqueeze(1)
    deviations = features - means[targets]
    covariance = deviations.T @ deviations / len(features)
    scale = covariance.diagonal().mean()
    if not scale > 0:
        raise UserError("model.head.init=lda: the features do not differ within the classes")
    covariance = (1 - shrinkage) * covariance + shrinkage * scale * torch.eye(len(covariance), dtype=torch.float64)
    weight = torch.linalg.solve(covariance, means.T).T
    return weight, -0.5 * (weight * means).sum(1)


def inverse_temperature(logits: Tensor, targets: Tensor) -> float:
    """Return 1 / T of temperature scaling: the factor in [1e-4, 1e4] on float64 logits (n, C) of least cross entropy.

    The cross entropy is convex in 1 / T, hence has one minimum, which golden-section search finds.
    Source: Guo et al. (2017), On calibration of modern neural networks, section 4.2.
    """

    def cost(exponent: float) -> Tensor:
        return F.cross_entropy(logits * 10**exponent, targets, label_smoothing=SMOOTHING)

    ratio = (5**0.5 - 1) / 2
    low, high = -4.0, 4.0
    for _ in range(60):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if cost(left) < cost(right):
            high = right
        else:
            low = left
    return float(10 ** ((low + high) / 2))


def _folds(targets: Tensor) -> Tensor:
    """Deal the items of each class to the folds in turn, in their order: int64 (n,)."""
    onehot = F.one_hot(targets)
    seen_before = (onehot.cumsum(0) * onehot).sum(1) - 1
    return seen_before % FOLDS
