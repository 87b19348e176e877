"""Every declared key, fed with values of every wrong type and range: one line that names the key."""

import math
from typing import Any

import pytest

from pets.errors import UserError
from pets.settings import config  # noqa: F401  (it imports every declaration)
from pets.settings.declare import BY_PREFIX, BY_TARGET, allowed, fields, key_of

WRONG: tuple[object, ...] = (
    None, True, False, -(10**12), -1, 0, 1, 10**12, -0.5, 0.5, 1.5, 1e300, -math.inf, math.inf, math.nan,
    "", "banana", "0.5", "two\nlines", "caf\u00e9", [], [-1], [math.nan], ["banana"], [[]], [None], {}, {"banana": 1},
)  # fmt: skip
GOOD = {"path": "x", "root": "x", "epochs": 1, "frozen": True, "lr": 1.0, "phases": [{}]}
"""What a declaration cannot do without."""
FIELDS = [
    (declaration, name) for declaration in (*BY_PREFIX.values(), *BY_TARGET.values()) for name in fields(declaration)
]
KEYS = [
    pytest.param(declaration, name, id=f"{declaration.__name__} {key_of(declaration, name)}")
    for declaration, name in FIELDS
]


def complaint(declaration: type, name: str, value: object) -> str:
    """What is said of a value; empty where it is allowed."""
    needed = {other: GOOD[other] for other, field in fields(declaration).items() if field.is_required()}
    try:
        declaration(**(needed | {name: value}))
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("declaration", "name"), KEYS)
@pytest.mark.filterwarnings("ignore:data.split.fold=.* has no effect")
def test_wrong_values_are_refused_with_the_key(declaration: type, name: str) -> None:
    messages = [message for value in WRONG if (message := complaint(declaration, name, value))]
    assert len(messages) >= len(WRONG) // 2, "a declaration that allows most of these says nothing"
    for message in messages:
        assert name in message.partition(" is not allowed")[0] or f"{name}=" in message
        assert len(message.splitlines()) == 1


@pytest.mark.parametrize(("declaration", "name"), KEYS)
def test_the_words_tell_what_is_allowed(declaration: Any, name: str) -> None:
    words = allowed(fields(declaration)[name])
    assert words not in ("", "anything")
    assert "\n" not in words


@pytest.mark.filterwarnings("ignore:data.split.fold=.* has no effect")
def test_how_many_there_are() -> None:
    """The number of wrong values refused; the closing note quotes it."""
    refused = sum(bool(complaint(*field, value)) for field in FIELDS for value in WRONG)
    assert refused > 1500
