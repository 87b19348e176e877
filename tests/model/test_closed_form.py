import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pets.model.closed_form import Moments, discriminant, discriminant_of


def clouds(n: int = 60, n_features: int = 20, n_classes: int = 4, distance: float = 1.0) -> tuple[Tensor, Tensor]:
    """Draw one Gaussian cloud a class, all of the same shape."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(n) % n_classes
    centres = distance * torch.randn(n_classes, n_features, generator=generator)
    mixing = torch.randn(n_features, n_features, generator=generator) / n_features**0.5
    noise = torch.randn(n, n_features, generator=generator) @ mixing
    return centres[targets] + noise, targets


def test_two_points_a_class_by_hand() -> None:
    # Means (0, 1) and (4, 1); within the classes the variance is 0 and 1, so S = diag(0, 1), tr(S) / F = 0.5, and at
    # shrinkage 0.5 the covariance is diag(0.25, 0.75).
    features = torch.tensor([[0.0, 0.0], [0.0, 2.0], [4.0, 0.0], [4.0, 2.0]])
    weight, bias = discriminant(features, torch.tensor([0, 0, 1, 1]), 2, shrinkage=0.5)
    torch.testing.assert_close(weight, torch.tensor([[0.0, 4 / 3], [16.0, 4 / 3]], dtype=torch.float64))
    torch.testing.assert_close(bias, torch.tensor([-2 / 3, -32 - 2 / 3], dtype=torch.float64))


@pytest.mark.parametrize("shrinkage", [0.1, 0.9, 1.0])
def test_logits_differ_as_the_log_densities_of_gaussians(shrinkage: float) -> None:
    features, targets = clouds()
    weight, bias = discriminant(features, targets, 4, shrinkage)
    x, y = features.double().numpy(), targets.numpy()
    means = np.stack([x[y == c].mean(0) for c in range(4)])
    covariance = sum((x[y == c] - means[c]).T @ (x[y == c] - means[c]) for c in range(4)) / len(x)
    covariance = (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / 20 * np.eye(20)
    distances = [[(row - mean) @ np.linalg.inv(covariance) @ (row - mean) for mean in means] for row in x]
    expected = torch.tensor(-0.5 * np.array(distances)).log_softmax(1)
    torch.testing.assert_close((features.double() @ weight.T + bias).log_softmax(1), expected)


def test_predictions_do_not_depend_on_the_unit_or_the_origin_of_the_features() -> None:
    features, targets = clouds()
    plain = F.linear(features.double(), *discriminant(features, targets, 4, 0.9))
    moved = 7 * features.double() + 3
    torch.testing.assert_close(F.linear(moved, *discriminant(moved, targets, 4, 0.9)).softmax(1), plain.softmax(1))


@pytest.mark.parametrize(
    ("features", "targets", "shrinkage", "message"),
    [
        (torch.rand(4, 3), [0, 0, 2, 2], 0.9, "model.head.init=lda: class 1 has no item"),
        (torch.ones(4, 3), [0, 0, 1, 2], 0.9, "do not differ within the classes"),
        (torch.rand(4, 3), [0, 0, 1, 2], 0.0, r"model\.head\.shrinkage=0\.0 is too small"),
    ],
)
def test_what_has_no_discriminant_is_an_error(
    features: Tensor, targets: list[int], shrinkage: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        discriminant(features, torch.tensor(targets), 3, shrinkage)


def test_the_moments_of_two_sets_are_those_of_both() -> None:
    features, targets = clouds()
    features = features.double()
    whole, first = Moments.of(features, targets, 4), Moments.of(features[:17], targets[:17], 4)
    rest = Moments.of(features[17:], targets[17:], 4)
    for sums, expected in ((first.plus(rest), whole), (whole.plus(first, -1), rest)):
        for found, wanted in zip(sums, expected, strict=True):
            torch.testing.assert_close(found, wanted)


def test_a_rotation_of_the_features_into_fewer_dimensions_changes_no_logit() -> None:
    features, targets = clouds(n=15, n_features=20)
    features = features.double()
    weight, bias = discriminant(features, targets, 4, 0.3)
    basis, coordinates = torch.linalg.qr(features.T)
    rotated = discriminant_of(Moments.of(coordinates.T, targets, 4), 0.3, n_features=20)
    torch.testing.assert_close(rotated[0] @ basis.T, weight)
    torch.testing.assert_close(rotated[1], bias)
