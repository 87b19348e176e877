"""A solved head: calibrated for new items, its regularisation chosen where the training items decide it."""

from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pets.model.closed_form import discriminant
from pets.model.head_solver import FOLDS, TRIED, folds, inverse_temperature, solve_head
from pets.model.logistic import logistic
from pets.settings.model import Head

Init = Literal["lda", "logistic"]


def clouds(n: int, n_features: int = 20, n_classes: int = 4, distance: float = 1.0) -> tuple[Tensor, Tensor]:
    """Draw one Gaussian cloud a class, all of the same shape."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(n) % n_classes
    centres = distance * torch.randn(n_classes, n_features, generator=generator)
    mixing = torch.randn(n_features, n_features, generator=generator) / n_features**0.5
    return centres[targets] + torch.randn(n, n_features, generator=generator) @ mixing, targets


def lda(shrinkage: float | Literal["auto"] = 0.9) -> Head:
    return Head("linear", init="lda", shrinkage=shrinkage)


def regression(C: float | Literal["auto"] = "auto") -> Head:
    return Head("linear", init="logistic", C=C)


def test_the_head_is_the_discriminant_calibrated_for_new_items() -> None:
    features, targets = clouds(n=400, n_features=100, distance=0.3)
    train, new = slice(0, 100), slice(100, None)
    sure = discriminant(features[train], targets[train], 4, 0.1)
    head = solve_head(features[train], targets[train], 4, lda(0.1))
    factor = head.weight / sure[0]
    torch.testing.assert_close(factor, factor[:1, :1].expand_as(factor))
    logits = F.linear(features[new].double(), head.weight, head.bias)
    best = inverse_temperature(logits, targets[new])
    assert 0.5 < best < 2  # little is gained by another factor, although the raw one is off by more
    assert factor[0, 0] < 0.5


def test_logistic_regression_is_left_as_it_is() -> None:
    features, targets = clouds(n=40)
    found = solve_head(features, targets, 4, regression(0.1))
    weight, bias = logistic(features.double(), targets, 4, 0.1)
    torch.testing.assert_close(found.weight, weight)
    torch.testing.assert_close(found.bias, bias)


@pytest.mark.parametrize("options", [lda(0.3), regression(0.5)], ids=["lda", "logistic"])
def test_items_fewer_than_features_are_solved_as_if_there_were_more(options: Head) -> None:
    features, targets = clouds(n=16, distance=3.0)
    features = features.double()
    found = solve_head(features, targets, 4, options)
    if options.init == "lda":
        weight, bias = discriminant(features, targets, 4, 0.3)
        weight, bias = (value * (found.weight[0, 0] / weight[0, 0]) for value in (weight, bias))
    else:
        weight, bias = logistic(features, targets, 4, 0.5)
    torch.testing.assert_close(found.weight, weight, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found.bias, bias, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("options", [lda("auto"), regression()], ids=["lda", "logistic"])
def test_the_choice_is_the_lowest_loss_of_what_was_tried(options: Head) -> None:
    features, targets = clouds(n=120, n_features=60, distance=0.4)
    found = solve_head(features, targets, 4, options)
    best = min(found.trials)
    assert best.value == found.value
    assert found.n == 120
    values = [trial.value for trial in found.trials]
    assert values == sorted(values)
    assert set(values) <= set(TRIED[found.key])
    given = lda(found.value) if options.init == "lda" else regression(found.value)
    same = solve_head(features, targets, 4, given)
    torch.testing.assert_close(same.weight, found.weight)
    assert same.trials == ()


def test_noise_asks_for_more_regularisation_than_many_clean_items() -> None:
    noisy = solve_head(*clouds(n=40, n_features=200, distance=0.2), 4, lda("auto"))
    clean = solve_head(*clouds(n=2000, n_features=20), 4, lda("auto"))
    assert clean.value < noisy.value


def test_a_new_image_is_judged_as_in_the_cross_validation() -> None:
    features, targets = clouds(n=2000, n_features=50, distance=0.08)
    found = solve_head(features[:400], targets[:400], 4, lda("auto"))
    logits = F.linear(features[400:].double(), found.weight, found.bias)
    assert F.cross_entropy(logits, targets[400:]).item() == pytest.approx(min(found.trials).loss, rel=0.15)


def test_the_inverse_temperature_is_that_of_a_known_model() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = 0.5 * torch.randn(20_000, 5, generator=generator, dtype=torch.float64)
    targets = torch.multinomial((3 * logits).softmax(1), 1, generator=generator).flatten()
    assert inverse_temperature(logits, targets) == pytest.approx(3, rel=0.1)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e3])
def test_no_other_temperature_is_better(unit: float) -> None:
    features, targets = clouds(n=200, distance=0.5)
    logits = unit * features[:, :4].double()
    best = inverse_temperature(logits, targets)

    def loss(factor: float) -> float:
        return float(F.cross_entropy(logits * factor, targets, label_smoothing=0.01))

    assert all(loss(best) <= loss(min(max(best * other, 1e-4), 1e4)) + 1e-9 for other in (0.5, 0.99, 1.01, 2.0))


def test_it_stays_finite_where_nothing_is_misjudged() -> None:
    features, targets = clouds(n=60, distance=50.0)
    found = solve_head(features, targets, 4, lda())
    loss = F.cross_entropy(F.linear(features.double(), found.weight, found.bias), targets)
    assert 1e-4 < loss < 0.1


@pytest.mark.parametrize("options", [lda(), lda("auto"), regression()], ids=["given", "auto", "logistic"])
def test_a_class_of_one_item_is_enough(options: Head) -> None:
    features, targets = clouds(n=5)
    found = solve_head(features, targets, 4, options)
    assert found.weight.isfinite().all()
    assert found.bias.isfinite().all()
    assert found.n == 0


def test_each_class_is_dealt_to_the_folds_and_a_single_item_to_none() -> None:
    targets = torch.tensor([0] * 7 + [1] * 5 + [2])
    found = folds(targets)
    assert found[-1] == -1
    for target in (0, 1):
        counts = torch.bincount(found[targets == target], minlength=FOLDS)
        assert counts.max() - counts.min() <= 1
