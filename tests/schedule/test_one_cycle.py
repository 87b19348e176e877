import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pets.schedule.one_cycle import Position, cosine, one_cycle_lr, one_cycle_momentum, position
from pets.schedule.recipe import Phase, fine_tune, one_cycle

# fastai 2.8.12: fit_one_cycle(lr_max=1) and fine_tune(2, base_lr=2e-3) with 92 batches an epoch.
LR_AT = {
    0: 0.04,
    0.125: 0.52,
    0.25: 1.0,
    0.5: 0.7500025000000001,
    0.625: 0.500005,
    0.75: 0.25000749999999994,
    0.999: 1.4386440566394043e-05,
}
MOMENTUM_AT = {
    0: 0.95,
    0.125: 0.8999999999999999,
    0.25: 0.85,
    0.5: 0.875,
    0.625: 0.8999999999999999,
    0.75: 0.9249999999999999,
    0.999: 0.9499995613515568,
}
FROZEN_HEAD_LR = {
    0: 8e-05,
    1: 8.057102073691457e-05,
    45: 0.0010221200322251712,
    90: 0.001999333972400773,
    91: 0.0019999963451072518,
}
UNFROZEN_HEAD_LR = {
    0: 0.0002,
    1: 0.00020064764103213003,
    55: 0.0009999740876448222,
    56: 0.0009999048147008988,
    92: 0.0008117467834803573,
    183: 1.5872437536925202e-07,
}


@pytest.mark.parametrize("t", LR_AT)
def test_golden_one_cycle(t: float) -> None:
    phase = Phase(1, False, 1.0)
    assert one_cycle_lr(t, 1.0, phase) == pytest.approx(LR_AT[t], rel=1e-9)
    assert one_cycle_momentum(t, phase) == pytest.approx(MOMENTUM_AT[t], rel=1e-12)


@pytest.mark.parametrize(("first", "golden"), [(0, FROZEN_HEAD_LR), (92, UNFROZEN_HEAD_LR)], ids=["frozen", "unfrozen"])
def test_golden_fine_tune(first: int, golden: dict[int, float]) -> None:
    recipe = fine_tune(2, base_lr=2e-3)
    for step, lr in golden.items():
        place = position(first + step, 92, recipe)
        phase = recipe.phases[place.phase]
        assert one_cycle_lr(place.t, phase.group_lrs()["head"], phase) == pytest.approx(lr, rel=1e-9)


@given(st.floats(0, 1, exclude_max=True), st.floats(0.01, 0.99), st.floats(1, 100), st.floats(1, 1e6))
def test_the_rate_stays_between_its_ends_and_its_peak(t: float, pct_start: float, div: float, div_final: float) -> None:
    phase = Phase(1, False, 1.0, pct_start=pct_start, div=div, div_final=div_final)
    assert min(1 / div, 1 / div_final) * (1 - 1e-9) <= one_cycle_lr(t, 1.0, phase) <= 1 + 1e-9
    assert 0.85 - 1e-9 <= one_cycle_momentum(t, phase) <= 0.95 + 1e-9


@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0, 1))
def test_cosine_is_symmetric(start: float, end: float, t: float) -> None:
    assert cosine(start, end, t) == pytest.approx(cosine(end, start, 1 - t), abs=1e-12)
    assert cosine(start, end, 0) == pytest.approx(start, abs=1e-12)
    assert cosine(start, end, 1) == pytest.approx(end, abs=1e-12)


def test_a_phase_starts_at_0_and_ends_one_step_before_1() -> None:
    recipe = one_cycle([Phase(1, True, 1e-3), Phase(2, False, 1e-4)])
    places = [position(step, 10, recipe) for step in range(30)]
    assert [place.t for place in places] == [i / 10 for i in range(10)] + [i / 20 for i in range(20)]
    with pytest.raises(ValueError, match="step 30 is not in the run, which has 30 steps"):
        position(30, 10, recipe)


@pytest.mark.parametrize(
    ("max_steps", "lengths"), [(30, [10, 20]), (99, [10, 20]), (15, [10, 5]), (10, [10]), (4, [4])]
)
def test_max_steps_shortens_the_phase_it_falls_into(max_steps: int, lengths: list[int]) -> None:
    recipe = one_cycle([Phase(1, True, 1e-3), Phase(2, False, 1e-4)])
    total = min(max_steps, 30)
    places = [position(step, 10, recipe, max_steps) for step in range(total)]
    assert places == [Position(phase, step, n) for phase, n in enumerate(lengths) for step in range(n)]
    with pytest.raises(ValueError, match="is not in the run"):
        position(total, 10, recipe, max_steps)


def test_the_whole_cycle_is_run_under_max_steps() -> None:
    phase = Phase(10, False, 1.0)
    recipe = one_cycle([phase])
    lrs = [one_cycle_lr(position(step, 100, recipe, 8).t, 1.0, phase) for step in range(8)]
    assert math.isclose(max(lrs), 1.0)
    assert lrs[-1] < 0.07
