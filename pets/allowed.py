"""Conditions on single values, with the words that an error message needs for them."""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rule:
    """A condition on a value, and its description as it stands in an error message."""

    allows: Callable[[Any], bool]
    allowed: str

    def or_null(self) -> "Rule":
        """Return the rule that also allows null."""
        return Rule(lambda value: value is None or self.allows(value), f"{self.allowed}, or null")


def _is_number(value: Any) -> bool:
    # By comparison, as math.isfinite fails for an int that no float can hold.
    largest = sys.float_info.max
    return isinstance(value, int | float) and not isinstance(value, bool) and -largest <= value <= largest


def integer(low: int, high: float = math.inf) -> Rule:
    """Allow whole numbers from `low` to `high`."""
    upper = "" if high == math.inf else f" to {high}"
    return Rule(
        lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high,
        f"a whole number from {low}{upper}" if upper else f"a whole number, at least {low}",
    )


def number(low: float, high: float = math.inf) -> Rule:
    """Allow finite numbers from `low` to `high`."""
    says = f"a number, at least {low}" if high == math.inf else f"a number from {low} to {high}"
    return Rule(lambda value: _is_number(value) and low <= value <= high, says)


def positive() -> Rule:
    """Allow finite numbers above 0."""
    return Rule(lambda value: _is_number(value) and value > 0, "a number above 0")


def between(low: float, high: float) -> Rule:
    """Allow numbers strictly between `low` and `high`."""
    return Rule(
        lambda value: _is_number(value) and low < value < high, f"a number between {low} and {high}, both excluded"
    )


def one_of(*values: Any) -> Rule:
    """Allow the listed values only."""
    return Rule(lambda value: any(value is v or (type(value) is type(v) and value == v) for v in values),
                ", ".join(str(v).lower() if isinstance(v, bool) else str(v) for v in values))  # fmt: skip


def text() -> Rule:
    """Allow a non-empty text."""
    return Rule(lambda value: isinstance(value, str) and value != "", "a text")


def list_of(rule: Rule, length: int | None = None) -> Rule:
    """Allow a list whose every member follows `rule`."""
    count = "a list" if length is None else f"a list of {length}"
    return Rule(
        lambda value: isinstance(value, list) and length in (None, len(value)) and all(map(rule.allows, value)),
        f"{count}, each {rule.allowed}",
    )


def either(*rules: Rule) -> Rule:
    """Allow what any of the rules allows."""
    return Rule(lambda value: any(rule.allows(value) for rule in rules), ", or ".join(rule.allowed for rule in rules))


FLAG = one_of(True, False)
TEXT = text()
ANYTHING = Rule(lambda value: True, "anything")
SHARE = number(0, 1)
BATCHES = either(integer(0), SHARE).or_null()
