import pytest
from hypothesis import given
from hypothesis import strategies as st

from pets.evaluation.intervals import spread, wilson


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_values(successes: int, n: int, low: float, high: float) -> None:
    # Newcombe (1998), Two-sided confidence intervals for the single proportion, table I, method 3.
    interval = wilson(successes, n)
    assert interval == pytest.approx((successes / n, low, high), abs=5e-5)


@given(n=st.integers(1, 10_000), data=st.data())
def test_wilson_contains_its_estimate_and_mirrors(n: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, n))
    share, low, high = wilson(successes, n)
    assert 0 <= low <= share <= high <= 1
    assert wilson(n - successes, n) == pytest.approx((1 - share, 1 - high, 1 - low), abs=1e-12)


def test_wilson_narrows_with_n() -> None:
    widths = [wilson(n // 5, n).high - wilson(n // 5, n).low for n in (10, 100, 1000)]
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 2)])
def test_wilson_refuses_impossible_counts(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match=f"{successes} of {n}"):
        wilson(successes, n)


def test_spread_is_the_mean_and_the_sample_standard_deviation() -> None:
    assert spread([0.3, 0.2, 0.4]) == pytest.approx((0.3, 0.1, 3))
    assert spread([0.25]) == (0.25, None, 1)
