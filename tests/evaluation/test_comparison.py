"""Paired comparisons: exact values, invariants, and what happens between equals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pets.evaluation.comparison import Difference, bootstrap_errors, compare_seeds, evidence_needed, holm, mcnemar


def runs(rates: list[float], n: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random((n, len(rates))) < rates).astype(float)


def test_mcnemar_is_the_binomial_test_of_the_images_on_which_only_one_is_wrong() -> None:
    first = np.array([1.0] * 8 + [0.0] * 92)
    second = np.array([0.0] * 6 + [1.0] * 2 + [0.0] * 92)
    told = mcnemar(first, second)
    assert told.value == pytest.approx(0.06)
    assert told.p == pytest.approx(2 / 2**6)
    assert mcnemar(second, first).p == told.p
    assert mcnemar(first, first).p == 1.0


def test_holm_on_a_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_keeps_the_order_and_lies_between_the_plain_and_bonferronis(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(p <= c <= min(1.0, len(p_values) * p) + 1e-12 for p, c in zip(p_values, corrected, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(corrected)[order]) >= 0).all()


def test_the_bootstrap_has_the_spread_of_a_share_and_keeps_runs_together() -> None:
    wrong = runs([0.2], 400)
    errors = bootstrap_errors(np.hstack([wrong, wrong]), np.random.default_rng(0), 4000)
    rate = float(wrong.mean())
    assert errors[:, 0].std() == pytest.approx((rate * (1 - rate) / 400) ** 0.5, rel=0.05)
    assert (errors[:, 0] == errors[:, 1]).all()


def test_an_image_that_a_run_did_not_see_does_not_count() -> None:
    wrong = np.array([[1.0, 1.0], [np.nan, 0.0]])
    assert set(bootstrap_errors(wrong, np.random.default_rng(0), 200)[:, 0].tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize(("rates", "is_told"), [([0.2] * 6, False), ([0.2] * 3 + [0.4] * 3, True)])
def test_seeds_of_equals_are_not_told_apart_and_those_of_others_are(rates: list[float], is_told: bool) -> None:
    wrong = runs(rates, 500)
    told = compare_seeds(wrong, [0, 1, 2], [3, 4, 5], bootstrap_errors(wrong, np.random.default_rng(0)))
    assert (told.p < 0.001) == is_told
    assert told.p > 0.05 or is_told


def test_seeds_that_disagree_take_the_certainty_away() -> None:
    alike, apart = runs([0.2] * 3 + [0.3] * 3, 2000), runs([0.1, 0.2, 0.3, 0.2, 0.3, 0.4], 2000)
    first, second = (
        compare_seeds(wrong, [0, 1, 2], [3, 4, 5], bootstrap_errors(wrong, np.random.default_rng(0)))
        for wrong in (alike, apart)
    )
    assert first.p < 0.01 < 0.1 < second.p
    assert second.seeds > 10 * first.seeds


def test_folds_are_compared_fold_by_fold() -> None:
    """Folds that differ in difficulty by far more than the settings do not hide a difference found in each."""
    hard = np.repeat([0.1, 0.3, 0.5], 400)
    rng = np.random.default_rng(0)
    wrong = np.full((1200, 6), np.nan)
    for fold in range(3):
        rows = slice(400 * fold, 400 * (fold + 1))
        for column, more in ((fold, 0.0), (3 + fold, 0.12)):
            wrong[rows, column] = rng.random(400) < hard[rows] + more
    told = compare_seeds(wrong, [0, 1, 2], [3, 4, 5], bootstrap_errors(wrong, np.random.default_rng(0)))
    assert told.p < 0.05


def test_evidence_needed_grows_with_the_square_of_what_the_difference_lacks() -> None:
    half, whole = (evidence_needed(Difference(value, 0.5, 1e-4), 0.05) for value in (0.01, 0.02))
    assert half is not None
    assert whole is not None
    assert half[0] == pytest.approx(1e-4 * (1.9600 + 0.8416) ** 2 / 0.01**2, rel=1e-3)
    assert half[0] / whole[0] == pytest.approx(4, rel=0.01)
    assert evidence_needed(Difference(0.0, 1.0, 1e-4), 0.05) is None


def test_where_seeds_are_the_noise_more_seeds_are_needed() -> None:
    told = evidence_needed(Difference(0.01, 0.5, 1e-6, 1e-4), 0.05)
    assert told is not None
    assert told[0] == 1.0
    assert told[1] > 5
    both = evidence_needed(Difference(0.01, 0.5, 1e-4, 1e-4), 0.05)
    assert both is not None
    assert both[0] == both[1] > 10
