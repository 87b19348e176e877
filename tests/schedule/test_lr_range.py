import json
import math
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import pytest

from pets.schedule.lr_range import (
    RULES,
    LRCurve,
    has_diverged,
    learning_rate,
    minimum,
    slide,
    smooth,
    steep,
    trim,
    valley,
)

STEPS = 100
LRS = [learning_rate(step, STEPS, 1e-7, 10) for step in range(STEPS)]


def curve_of(loss_at: Callable[[float], float], noise: float = 0.0, seed: int = 0) -> LRCurve:
    """The curve of a test whose loss is a function of log10(lr), ended as the test would be."""
    jitter = np.random.default_rng(seed).normal(0, noise, STEPS)
    losses: list[float] = []
    for lr, extra in zip(LRS, jitter, strict=True):
        losses.append(loss_at(math.log10(lr)) + float(extra))
        if has_diverged(smooth(losses)):
            break
    return LRCurve(LRS[: len(losses)], losses, STEPS, batch_size=64)


def learns(x: float) -> float:
    return 3.7 - 2.6 / (1 + math.exp(-2.5 * (x + 3))) + 10 ** (2.5 * (x - 0.2))


def golden_losses() -> np.ndarray:
    """A smoothed loss with a plateau, a descent and a rise, for which the values of fastai's four rules are known."""
    x = np.log10(LRS)
    losses = 3.6 - 1.5 / (1 + np.exp(-(x + 3.15))) + np.exp(3.4538 * (x - 0.7))
    return np.minimum(losses, losses[17])


def test_golden_suggestions() -> None:
    lrs, losses = trim(LRS, STEPS), trim(list(golden_losses()), STEPS)
    assert valley(lrs, losses) == pytest.approx(0.0008317637711026709)
    assert slide(lrs, losses) == pytest.approx(0.0003981071705534973)
    assert minimum(lrs, losses) == pytest.approx(0.04365158322401656)
    assert steep(lrs, losses) == pytest.approx(0.0006918309709189362)


def test_golden_valley_whose_start_lies_before_the_curve() -> None:
    lrs = 1e-9 * 10.0 ** np.arange(9)
    assert valley(lrs, np.arange(9, 0, -1.0)) == pytest.approx(1e-6)


def test_valley_of_a_rising_curve_is_its_first_point() -> None:
    assert valley(np.arange(1.0, 5), np.arange(4.0)) == 1.0


def test_golden_smoothing() -> None:
    expected = [0.9999999999999991, 1.505050505050502, 2.013467555434632, 2.0099979596000783, 3.6732095130447515]
    assert smooth([1, 2, 3, 2, 10]) == pytest.approx(expected, rel=1e-12)


def test_learning_rates_are_exponential_and_stop_short_of_the_end() -> None:
    assert LRS[0] == 1e-7
    assert LRS[-1] == pytest.approx(8.317637711)
    assert np.diff(np.log(LRS)) == pytest.approx(np.full(STEPS - 1, math.log(1e8) / STEPS))


def test_diverged_is_more_than_four_times_the_best() -> None:
    assert not has_diverged([1.0, 4.0])
    assert has_diverged([1.0, 4.01])
    assert has_diverged([1.0, math.nan])
    assert has_diverged([1.0, math.inf])


@pytest.mark.parametrize("seed", range(5))
def test_a_curve_that_falls_and_rises_is_reliable(seed: int) -> None:
    curve = curve_of(learns, noise=0.15, seed=seed)
    assert curve.reliable, curve.doubt
    assert set(curve.suggestions) == set(RULES)
    assert 3e-4 < curve.suggestions["valley"] < 3e-2


@pytest.mark.parametrize(
    ("loss_at", "reason"),
    [
        (lambda x: 3.6, "still falls|hardly falls"),
        (lambda x: 0.2 + 10 ** (2 * x), "hardly falls"),
        (lambda x: 1 + 5 * (x + 7), "before the loss diverged"),
        (lambda x: 3.7 - 0.2 * (x + 7), "raise end_lr"),
        (lambda x: math.nan if x > -6 else 3.6, "only 13 of 100 steps"),
        (lambda x: math.nan, "only 0 of 100 steps"),
        (lambda x: 1e6 if x > -6 else 3.6, "only 14 of 100 steps"),
    ],
    ids=["flat", "trained", "rising", "falling", "nan", "nan_at_once", "explodes"],
)
def test_a_curve_that_says_nothing_is_not_reliable(loss_at: Callable[[float], float], reason: str) -> None:
    curve = curve_of(loss_at)
    assert not curve.reliable
    assert curve.doubt
    assert any(part in curve.doubt for part in reason.split("|"))


def test_noise_is_not_taken_for_a_descent() -> None:
    verdicts = [curve_of(lambda x: 1 + 10 ** (2 * x), noise=0.5, seed=seed).reliable for seed in range(40)]
    assert sum(verdicts) <= 2


def with_suggestions(monkeypatch: pytest.MonkeyPatch, **suggestions: float) -> LRCurve:
    """A curve that falls and rises, for which the rules suggest what the test says."""
    for name, lr in suggestions.items():
        monkeypatch.setitem(RULES, name, lambda *_, lr=lr: lr)
    return curve_of(learns)


@pytest.mark.parametrize(
    ("slide", "steep", "reliable"), [(1e-3, 1e-3, True), (1e-3, 1e-7, True), (9, 2e-2, True), (2e-2, 5e-5, False)]
)
def test_a_valley_that_neither_slide_nor_steep_confirms_is_not_reliable(
    monkeypatch: pytest.MonkeyPatch, slide: float, steep: float, reliable: bool
) -> None:
    curve = with_suggestions(monkeypatch, valley=2.1e-3 if reliable else 1e-3, slide=slide, steep=steep)
    assert curve.reliable == reliable
    assert reliable or curve.doubt == "slide and steep are at least a factor of 20 away from valley"


def test_a_suggestion_far_from_a_reliable_valley_is_doubted(monkeypatch: pytest.MonkeyPatch) -> None:
    curve = with_suggestions(monkeypatch, valley=1e-3, slide=1e-3, steep=1e-7, minimum=5e-2)
    assert curve.reliable
    assert curve.doubt_about("minimum") is None
    assert curve.doubt_about("steep") == "steep is a factor of 10000 away from valley"
    flat = curve_of(lambda x: 3.6)
    assert flat.doubt_about("steep") == flat.doubt


@pytest.mark.parametrize("points", range(36))
def test_any_number_of_points_gives_a_curve(points: int) -> None:
    curve = LRCurve(LRS[:points], [3.0 - step / 50 for step in range(points)], STEPS, 64)
    assert not curve.reliable
    assert len(curve.smoothed) == points
    assert bool(curve.suggestions) == (points >= 10 + 16 + 5)


def test_json_holds_the_curve() -> None:
    curve = curve_of(learns)
    assert json.loads(curve.to_json()) == asdict(curve)
    assert "NaN" not in curve_of(lambda x: math.nan).to_json()


def test_a_curve_is_shown_by_what_it_suggests_and_not_by_its_hundred_points() -> None:
    shown = repr(LRCurve([10.0**-i for i in range(8, 0, -1)], [1.0] * 8, 100, 16))
    assert "suggestions=" in shown
    assert "losses=" not in shown
