"""Every key of the configuration, fed with values of every wrong type and range: one line that names the key."""

import math

import pytest
from omegaconf import OmegaConf
from pets.allowed import ANYTHING

from pets import rules

WRONG = (
    None, True, False, -(10**12), -1, 0, 1, 10**12, -0.5, 0.5, 1.5, 1e300, -math.inf, math.inf, math.nan,
    "", "banana", "0.5", "two\nlines", "caf\u00e9", [], [-1], [math.nan], ["banana"], [[]], [None], {}, {"banana": 1},
)  # fmt: skip
CHECKED = sorted(key for key, rule in rules.RULES.items() if rule is not ANYTHING)


def complaint(key: str, value: object) -> str:
    """What the check of `key=value` says; empty where the value is allowed."""
    nested: object = value
    for part in reversed(key.split(".")):
        nested = {part: nested}
    try:
        rules.check(OmegaConf.create(nested))
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("key", CHECKED)
def test_wrong_values_are_refused_with_the_key(key: str) -> None:
    rule = rules.RULES[key]
    refused = [value for value in WRONG if not rule.allows(value)]
    assert len(refused) >= len(WRONG) // 2, "a rule that allows most of these says nothing"
    if key.endswith(".*"):
        refused = [value for value in refused if not isinstance(value, dict)]  # groups of further keys
    key = key.replace("*", "banana")
    for value in refused:
        message = complaint(key, value)
        assert message.startswith(key)
        assert len(message.splitlines()) == 1


@pytest.mark.parametrize("key", CHECKED)
def test_the_sentence_tells_what_is_allowed(key: str) -> None:
    assert rules.RULES[key].allowed
    assert "\n" not in rules.RULES[key].allowed


def test_how_many_there_are() -> None:
    """The number of wrong values refused; the closing note quotes it."""
    refused = sum(not rules.RULES[key].allows(value) for key in CHECKED for value in WRONG)
    assert refused > 1500
