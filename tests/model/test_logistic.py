"""Logistic regression: the loss of scikit-learn's, and a minimum that does not depend on where the search begins."""

import warnings

import pytest
import torch
from torch import Tensor

from pets.model.logistic import logistic, logistic_loss


def items(n: int = 150, n_features: int = 12, n_classes: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(n) % n_classes
    centres = torch.randn(n_classes, n_features, generator=generator, dtype=torch.float64)
    return centres[targets] + torch.randn(n, n_features, generator=generator, dtype=torch.float64) + 3, targets


@pytest.mark.parametrize("C", [1e-3, 0.1, 1.0, 100.0])
@pytest.mark.parametrize("n", [10, 150])
def test_its_loss_is_that_of_scikit_learn(C: float, n: int) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    features, targets = items(n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scikit-learn, about its own arguments
        theirs = linear_model.LogisticRegression(C=C, tol=1e-10, max_iter=10_000).fit(features, targets)
    expected = logistic_loss(features, targets, (torch.tensor(theirs.coef_), torch.tensor(theirs.intercept_)), C)
    found = logistic_loss(features, targets, logistic(features, targets, 5, C), C)
    assert float(found) == pytest.approx(float(expected), abs=1e-4)


def test_the_start_does_not_matter() -> None:
    features, targets = items()
    plain = logistic(features, targets, 5, 1.0)
    other = logistic(features, targets, 5, 1.0, start=logistic(features, targets, 5, 0.01))
    for found, expected in zip(other, plain, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-2, atol=2e-3)


def test_the_origin_of_the_features_does_not_matter() -> None:
    features, targets = items()
    plain, moved = logistic(features, targets, 5, 1.0), logistic(features + 100, targets, 5, 1.0)
    torch.testing.assert_close(moved[0], plain[0], rtol=1e-2, atol=2e-3)


def test_it_works_without_gradients() -> None:
    features, targets = items()
    with torch.no_grad():
        weight, bias = logistic(features, targets, 5, 1.0)
    assert not weight.requires_grad
    assert not bias.requires_grad
    assert weight.abs().sum() > 0
