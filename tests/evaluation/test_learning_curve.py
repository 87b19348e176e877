"""Nested subsets, heads on them, and what the curve says of twice as many images."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pets.errors import UserError
from pets.evaluation.features import Features
from pets.evaluation.learning_curve import (
    LEVEL,
    Curve,
    by_class,
    choose,
    fit,
    forecast,
    measure,
    orders,
    shares,
    subset,
)
from pets.model.head_solver import solve_head
from pets.settings.model import Head

CLASSES = ("a", "b", "c", "d")


def clusters(n: int, width: int, seed: int = 0) -> Features:
    """Features of four classes, n images each, that overlap."""
    targets = torch.arange(4).repeat(n)
    noise = torch.randn(4 * n, width, generator=torch.Generator().manual_seed(seed))
    return Features(1.5 * torch.eye(4, width)[targets] + noise, targets, torch.arange(4 * n))


def power_law(offset: float, a: float, b: float, n: int = 10_000) -> Curve:
    """A curve of 100 to 1,600 images, the same images wrong in all of three repeats."""
    sizes = (100, 200, 400, 800, 1600)
    wrong = np.zeros((5, 3, n), dtype=np.bool_)
    for place, size in enumerate(sizes):
        odds = offset + a * size**-b
        wrong[place, :, : round(n * odds / (1 + odds))] = True
    return Curve(sizes, (0.9,) * 5, wrong)


@given(
    targets=st.lists(st.integers(0, 4), min_size=1, max_size=60),
    small=st.floats(0.01, 1),
    more=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_a_subset_has_its_share_of_every_class_and_is_part_of_a_larger_one(
    targets: list[int], small: float, more: float, seed: int
) -> None:
    labels, (order,) = torch.tensor(targets), orders(len(targets), 1, seed)
    rows, larger = subset(order, labels, small), subset(order, labels, small + more * (1 - small))
    assert set(rows.tolist()) <= set(larger.tolist())
    assert rows.tolist() == sorted(set(rows.tolist()))
    for label in set(targets):
        assert int((labels[rows] == label).sum()) == max(1, round(small * targets.count(label)))
    assert subset(order, labels, 1.0).tolist() == list(range(len(targets)))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [([4, 5, 90], (0.5, 1)), ([8, 8], (0.25, 0.5, 1)), ([500, 500], (0.0625, 0.125, 0.25, 0.5, 1)), ([0, 4], (0.5, 1))],
)
def test_sizes_are_halved_down_to_two_images_a_class(counts: list[int], expected: tuple[float, ...]) -> None:
    assert shares(torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))) == expected


def test_classes_too_small_to_halve_are_refused() -> None:
    with pytest.raises(UserError, match=r"^task=learning_curve: half of the classes have 3 training images or fewer"):
        shares(torch.tensor([0] * 3 + [1] * 3 + [2] * 80))


@pytest.mark.parametrize(
    ("options", "width"),
    [
        (Head("linear", init="lda", shrinkage="auto"), 8),
        (Head("linear", init="lda", shrinkage="auto"), 100),  # more features than images
        (Head("linear", init="logistic", C=1.0), 8),
    ],
)
def test_every_point_is_the_error_of_the_solved_head(options: Head, width: int) -> None:
    train, valid = clusters(8, width), clusters(30, width, seed=1)
    drawn = orders(32, 2, seed=3)
    chosen = choose(train, 4, options, drawn[0])
    curve = measure(train, valid, 4, options.init, chosen, drawn)
    assert curve.sizes == (8, 16, 32)
    for place, share in enumerate(shares(train.targets)):
        rows = subset(drawn[0], train.targets, share)
        solved = solve_head(train.values[rows], train.targets[rows], 4, options)
        assert curve.regularisation[place] == solved.value
        wrong = (valid.values.double() @ solved.weight.T + solved.bias).argmax(1) != valid.targets
        assert curve.wrong[place, 0].tolist() == wrong.tolist()
    assert (curve.wrong[-1, 0] == curve.wrong[-1, 1]).all()
    assert (curve.wrong[0, 0] != curve.wrong[0, 1]).any()


@pytest.mark.parametrize(("offset", "a", "b"), [(0.0, 4.0, 0.75), (0.03, 10.0, 1.0), (0.1, 2.0, 0.5), (0.02, 1.0, 0.6)])
def test_a_power_law_with_an_offset_is_continued(offset: float, a: float, b: float) -> None:
    expected = forecast(fit(power_law(offset, a, b)), 3200, 10_000)
    odds = offset + a * 3200**-b
    assert expected.value == pytest.approx(odds / (1 + odds), abs=0.003)
    assert expected.low < odds / (1 + odds) < expected.high


def test_golden_forecast() -> None:
    law = fit(power_law(0.03, 10.0, 1.0))
    assert law.measured == 1600
    assert law.odds == pytest.approx(0.03 + 10 / 1600, rel=0.01)
    assert (law.exponent.mean(), law.offset.mean()) == (pytest.approx(0.72, abs=0.02), pytest.approx(0.58, abs=0.02))
    assert tuple(forecast(law, 3200, 10_000)) == pytest.approx((0.0299, 0.0242, 0.0365), abs=0.0005)


@given(seed=st.integers(0, 50), n=st.integers(1, 40))
def test_a_forecast_is_an_error_rate_within_its_interval_and_falls(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    wrong = rng.random((2, 2, n)) < rng.random((2, 1, 1))
    law = fit(Curve((10, 20), (0.9, 0.9), wrong))
    near, far = forecast(law, 40, n), forecast(law, 4000, n)
    assert 0 <= near.low <= near.value <= near.high <= 1
    assert far.value < near.value < law.errors(20)[0]


def test_fewer_validation_images_make_it_less_certain() -> None:
    def width(n: int) -> float:
        expected = forecast(fit(power_law(0.03, 10.0, 1.0, n)), 3200, n)
        return expected.high - expected.low

    assert width(100) > width(1000) > width(10_000)


def errors_of(shares_wrong: list[float], n: int) -> tuple[Curve, Tensor]:
    """A curve of two sizes on n images a class, of which a share is wrong at both."""
    wrong = np.concatenate([np.arange(n) < share * n for share in shares_wrong])
    curve = Curve((40, 80), (0.9, 0.9), np.broadcast_to(wrong, (2, 3, len(wrong))))
    return curve, torch.arange(len(shares_wrong)).repeat_interleave(n)


def test_a_class_that_errs_most_beyond_chance_comes_first() -> None:
    curve, valid = errors_of([0.1, 0.1, 0.7, 0.1], 20)
    rows = by_class(curve, torch.arange(4).repeat(20), valid, CLASSES)
    assert [row.label for row in rows if row.p < LEVEL] == ["c"]
    assert rows[0][:3] == ("c", 20, 20)
    assert rows[0][3:5] == pytest.approx((0.7, 0.7))


def test_chance_names_no_class_and_a_class_without_validation_images_has_no_row() -> None:
    curve, valid = errors_of([0.0, 0.5, 1.0], 2)
    rows = by_class(curve, torch.arange(4).repeat(20), valid, CLASSES)
    assert sorted(row.label for row in rows) == ["a", "b", "c"]
    assert min(row.p for row in rows) >= LEVEL
