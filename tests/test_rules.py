"""Rules say yes to what they allow and no to the rest; a wrong value is named with its key."""

import pytest
from omegaconf import OmegaConf

from pets import allowed, rules


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (allowed.integer(1), [1, 10**6], [0, 1.0, True, "1", None]),
        (allowed.integer(0, 3), [0, 3], [-1, 4]),
        (allowed.number(0, 1), [0, 1, 0.5], [-0.1, 1.1, float("nan"), True, "0.5", 10**400]),
        (allowed.positive(), [1e-9, 3], [0, -1, float("inf"), 10**400]),
        (allowed.between(0, 1), [0.2], [0, 1]),
        (allowed.one_of("a", "b"), ["a"], ["c", None, 1]),
        (allowed.FLAG, [True, False], [1, 0, "true"]),
        (allowed.text(), ["x"], ["", 3]),
        (allowed.list_of(allowed.integer(0), 2), [[1, 2]], [[1], [1, -1], 3]),
        (allowed.text().or_null(), [None, "x"], [1]),
        (allowed.either(allowed.integer(5), allowed.text()), [5, "x"], [1.5, None]),
    ],
)
def test_rules(rule: allowed.Rule, good: list[object], bad: list[object]) -> None:
    assert [value for value in good if not rule.allows(value)] == []
    assert [value for value in bad if rule.allows(value)] == []


def test_a_key_takes_its_own_rule_before_that_of_its_group() -> None:
    assert rules.rule_for("trainer.devices") is rules.RULES["trainer.devices"]
    assert rules.rule_for("no.such.key") is None


def test_a_wrong_value_is_named_with_its_key_and_what_is_allowed() -> None:
    with pytest.raises(ValueError, match=r"^seed=-1 is not allowed: a whole number from 0 to 4294967295$"):
        rules.check(OmegaConf.create({"seed": -1}))


def test_a_missing_value_is_named() -> None:
    with pytest.raises(ValueError, match=r"^data\.root is required: add data\.root=VALUE"):
        rules.check(OmegaConf.create({"data": {"root": "???"}}))


@pytest.mark.parametrize("mode", ["min", None])
def test_a_checkpoint_watches_its_metric_in_the_metrics_own_direction(mode: str | None) -> None:
    checkpoint = {"monitor": "valid/error_rate", "mode": mode}
    rules.check(OmegaConf.create({"callbacks": {"checkpoint": checkpoint}}))
    with pytest.raises(
        ValueError, match=r"^callbacks\.checkpoint\.mode=max is not allowed: the best valid/error_rate is"
    ):
        rules.check(OmegaConf.create({"callbacks": {"checkpoint": checkpoint | {"mode": "max"}}}))
