from dataclasses import replace

import pytest

from benchmarks.harness import Case, Claim, Spread, interleave, rates


def test_cases_take_turns_and_the_warm_up_is_not_counted() -> None:
    calls: list[str] = []
    cases = [Case("a", lambda: calls.append("a")), Case("b", lambda: calls.append("b"))]
    seconds = interleave(cases, repeats=2, warmup=1)
    assert calls == ["a", "b"] * 3
    assert [len(values) for values in seconds.values()] == [2, 2]


def test_a_case_may_count_its_own_seconds() -> None:
    values = iter([9.0, 1.0, 2.0])
    assert interleave([Case("a", lambda: next(values))], repeats=2)["a"] == [1.0, 2.0]


def test_rates_are_items_over_seconds() -> None:
    case = Case("a", lambda: None, items=100)
    assert rates([case], {"a": [0.5, 2.0]}) == {"a": [200.0, 50.0]}


def test_the_spread_of_known_values() -> None:
    assert Spread.of([5.0, 1.0, 2.0, 4.0, 3.0]) == Spread(3.0, 2.0, 4.0)
    assert Spread.of([1.0, 2.0, 9.0], mean=True).centre == 4.0
    assert Spread.of([7.0]) == Spread(7.0, 7.0, 7.0)


def test_a_ratio_is_taken_within_each_round() -> None:
    measures = {"ours": [1.0, 10.0], "rival": [4.0, 20.0]}
    assert Claim("rival", "ours").values(measures) == [4.0, 2.0]
    assert Claim("rival", "ours", difference=True).values(measures) == [3.0, 10.0]


def test_a_side_that_was_not_measured_leaves_a_claim_undecided() -> None:
    assert Claim("ours", "rival").values({"ours": [1.0]}) == []
    assert Claim("ours").values({"ours": [1.0]}) == [1.0]


@pytest.mark.parametrize(("value", "met"), [(0.9, True), (1.0, True), (1.1, False)])
def test_bounds_include_their_ends(value: float, met: bool) -> None:
    claim = Claim("ours", "rival", at_most=1.0)
    assert claim.met(value) is met
    assert replace(claim, at_most=None, at_least=1.0).met(value) is (value >= 1.0)
