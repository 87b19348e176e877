"""A linear head in closed form: linear discriminant analysis, from sums over items that folds add up to."""

from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from pets.errors import UserError

Linear = tuple[Tensor, Tensor]
"""Weight (C, F) and bias (C,) of a linear layer, float64."""
ROUNDING = 1e-12
"""Share of the features' squares below which a variance within the classes is rounding."""


class Moments(NamedTuple):
    """What the discriminant has to know of a set of items; that of two sets without a common item is the sum."""

    counts: Tensor
    """float64 (C,) items of each class."""
    sums: Tensor
    """float64 (C, F) sum of the features of each class."""
    products: Tensor
    """float64 (F, F) sum of the outer products of the features with themselves."""

    @classmethod
    def of(cls, features: Tensor, targets: Tensor, n_classes: int) -> Self:
        """Return the moments of features, float64 (n, F), of classes int64 (n,)."""
        onehot = F.one_hot(targets, n_classes).double()
        return cls(onehot.sum(0), onehot.T @ features, features.T @ features)

    def plus(self, others: "Moments", sign: int = 1) -> "Moments":
        """Return the moments of these and other items; with sign -1, without the others."""
        return Moments(*(own + sign * other for own, other in zip(self, others, strict=True)))


def discriminant(features: Tensor, targets: Tensor, n_classes: int, shrinkage: float) -> Linear:
    """Return linear discriminant analysis of features (n, F) and classes int64 (n,), see `discriminant_of`."""
    return discriminant_of(Moments.of(features.double(), targets, n_classes), shrinkage)


def discriminant_of(moments: Moments, shrinkage: float, n_features: int | None = None) -> Linear:
    """Return linear discriminant analysis with equal priors.

    The covariance within the classes S becomes (1 - shrinkage) S + shrinkage tr(S) / F times the identity.
    Source: Friedman (1989), Regularized discriminant analysis; Hastie et al. (2009), The elements of
    statistical learning, section 4.3.

    Args:
        moments: Of the items; every class occurs.
        shrinkage: In (0, 1].
        n_features: F, where the features were rotated into fewer dimensions that hold all items; None: as they are.

    Raises:
        UserError: A class without items, no spread within the classes, or a covariance that cannot be inverted.
    """
    if empty := (moments.counts == 0).nonzero().flatten().tolist():
        raise UserError(f"model.head.init=lda: class {empty[0]} has no item to learn from")
    means = moments.sums / moments.counts.unsqueeze(1)
    covariance = (moments.products - means.T @ moments.sums) / moments.counts.sum()
    if not covariance.trace() > ROUNDING * moments.products.trace():
        raise UserError("model.head.init=lda: the features do not differ within the classes")
    factor, failed = torch.linalg.cholesky_ex(shrink(covariance, shrinkage, n_features))
    if failed:
        raise UserError(f"model.head.shrinkage={shrinkage} is too small: the features' covariance is singular")
    weight = torch.cholesky_solve(means.T, factor).T
    return weight, -0.5 * (weight * means).sum(1)


def shrink(covariance: Tensor, shrinkage: float, n_features: int | None = None) -> Tensor:
    """Return (1 - shrinkage) S + shrinkage tr(S) / F times the identity, of S (D, D); F is D unless it is given."""
    scale = covariance.trace() / (n_features or len(covariance))
    shrunk = (1 - shrinkage) * covariance
    shrunk.diagonal().add_(shrinkage * scale)
    return shrunk
