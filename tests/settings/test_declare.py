"""A declaration takes what it declares and refuses the rest in one line, whoever asks."""

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import FrozenInstanceError, asdict, replace
from typing import Annotated, Any, Literal

import pytest
from omegaconf import OmegaConf
from pydantic import Field, model_validator

from pets.errors import UserError
from pets.settings.declare import BY_PREFIX, PathText, Refused, Text, allowed, declared, fields, shown

Share = Annotated[float, Field(ge=0, le=1)]


@declared(None)
class Kinds:
    """Every kind of annotation."""

    whole: int = 1
    number: float = 1.0
    both: Annotated[int, Field(ge=8, le=64)] = 8
    open: Annotated[float, Field(gt=0, lt=1)] = 0.5
    half_open: Annotated[float, Field(ge=0, lt=1)] = 0.5
    half_closed: Annotated[float, Field(gt=0, le=1)] = 0.5
    least: Annotated[int, Field(ge=2)] = 2
    above: Annotated[float, Field(gt=0)] = 1.0
    flag: bool = False
    choice: Literal["a", "b"] = "a"
    text: Text = "x"
    path: PathText = "x"
    maybe: Text | None = None
    maybe_number: Annotated[int, Field(ge=0, le=9)] | None = None
    either: bool | Literal["auto"] = "auto"
    three: Annotated[Sequence[Share], Field(min_length=3, max_length=3)] = (0, 0, 0)
    some: Annotated[Sequence[Text], Field(min_length=1)] = ("x",)
    any_number: Sequence[int] = ()
    anything: Sequence[Any] = ()
    mapping: Mapping[str, Any] = Field(default_factory=dict)


WORDS = {
    "whole": "a whole number",
    "number": "a number",
    "both": "a whole number from 8 to 64",
    "open": "a number between 0 and 1, both excluded",
    "half_open": "a number, at least 0 and below 1",
    "half_closed": "a number above 0, at most 1",
    "least": "a whole number, at least 2",
    "above": "a number above 0",
    "flag": "true, false",
    "choice": "a, b",
    "text": "a text",
    "path": "a text",
    "maybe": "a text, or null",
    "maybe_number": "a whole number from 0 to 9, or null",
    "either": "true, false, or auto",
    "three": "a list of 3, each a number from 0 to 1",
    "some": "a list of at least 1, each a text",
    "any_number": "a list, each a whole number",
    "anything": "a list",
    "mapping": "keys and values",
}


@declared("box", children=("inner",))
class Box:
    """Two sides and a lid."""

    width: Annotated[int, Field(ge=1)]
    height: Annotated[int, Field(ge=1)] = 3
    origin: Annotated[Text | None, Field(alias="from")] = None

    @model_validator(mode="after")
    def _no_square(self) -> "Box":
        if self.width == self.height:
            raise ValueError(f"box.width={self.width} is not allowed: not height={self.height}")
        return self


del BY_PREFIX[Box.PREFIX]  # type: ignore[attr-defined]  # no key of this project


class Crate(Box):
    """A class that takes its settings from a declaration."""

    def area(self) -> int:
        return self.width * self.height


def message(**values: Any) -> str:
    with pytest.raises(UserError) as caught:
        Kinds(**values)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_allowed_is_said_in_words() -> None:
    assert {name: allowed(field) for name, field in fields(Kinds).items()} == WORDS


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("whole", True), ("whole", 1.0), ("whole", "1"), ("whole", None), ("number", True), ("number", "0.5"),
        ("number", float("nan")), ("number", float("inf")), ("number", -float("inf")), ("number", 10**400),
        ("both", 7), ("both", 65), ("open", 0), ("open", 1), ("half_open", 1), ("half_closed", 0), ("least", 1),
        ("above", 0), ("flag", 1), ("flag", "true"), ("choice", "c"), ("choice", None), ("choice", ["a"]), ("text", ""),
        ("text", b"x"), ("text", 1), ("path", ""), ("maybe", ""), ("maybe_number", 10), ("maybe_number", False),
        ("either", 1), ("either", "on"), ("three", [0, 0]), ("three", "abc"), ("three", [0, 0, 2]), ("some", []),
        ("some", "x"), ("some", [""]), ("any_number", [True]), ("anything", 3), ("anything", {}), ("mapping", []),
        ("mapping", {1: 1}), ("whole", ...), ("mapping", ...),
    ],
)  # fmt: skip
def test_strict(name: str, value: Any) -> None:
    assert message(**{name: value}) == f"{name}={shown(value)} is not allowed: {WORDS[name]}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("number", 1), ("both", 8), ("both", 64), ("half_open", 0), ("half_closed", 1), ("either", True),
        ("three", [0, 1, 0.5]), ("three", (0, 1, 0.5)), ("anything", [[], {}]), ("mapping", {"a": [1]}),
        ("any_number", OmegaConf.create([1, 2])),
    ],
)  # fmt: skip
def test_allowed(name: str, value: Any) -> None:
    taken = getattr(Kinds(**{name: value}), name)
    assert list(taken) == list(value) if isinstance(taken, Sequence) else taken == value


def test_a_huge_or_endless_value_gives_one_short_line() -> None:
    endless: list[Any] = []
    endless.append(endless)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (endless, deep, "x\n" * 10**6, 10**5000, [0] * 10**6, {"a": "b" * 10**6}):
        for name in ("both", "choice", "three", "some"):
            assert len(message(**{name: value})) < 300


def test_by_position_and_by_name() -> None:
    assert Box(1, 2) == Box(1, height=2) == Box(width=1, height=2)
    with pytest.raises(Refused, match=r"^box\.height=0 is not allowed: a whole number, at least 1$"):
        Box(1, 0)
    with pytest.raises(UserError, match=r"^Box takes at most 3 values$"):
        Box(1, 2, None, 4)  # type: ignore[call-arg]
    with pytest.raises(UserError, match=r"^box\.width="):
        Box(1, width=2)  # type: ignore[misc]


def test_a_missing_value_is_asked_for() -> None:
    with pytest.raises(UserError, match=r"^box\.width is required: add box\.width=VALUE to the command$"):
        Box()  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("widht", "no key box.widht; did you mean box.width?"),
        ("heigh", "no key box.heigh; did you mean box.height?"),
        ("self", "no key box.self"),
        ("__dataclass_self__", "no key box.__dataclass_self__"),
        ("zzz\nzzz", "no key box.zzz zzz"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest(name: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        Box(1, **{name: 1})  # type: ignore[arg-type]
    assert str(caught.value) == says


def test_a_long_unknown_key_is_cut() -> None:
    assert len(message(**{"x" * 10**6: 1})) < 200


def test_a_word_that_python_reserves_has_another_name_in_python() -> None:
    assert Box(1, **{"from": "x"}) == Box(1, origin="x")  # type: ignore[arg-type]
    for given in ({"from": 5}, {"origin": 5}):
        with pytest.raises(UserError, match=r"^box\.from=5 is not allowed: a text, or null$"):
            Box(1, **given)  # type: ignore[arg-type]


def test_a_rule_about_several_fields_says_it_all() -> None:
    with pytest.raises(UserError, match=r"^box\.width=2 is not allowed: not height=2$"):
        Box(2, 2)


def test_a_class_that_inherits_checks_copies_and_travels() -> None:
    crate = Crate(2, 5, origin="x")
    assert crate.area() == 10
    assert asdict(crate) == {"width": 2, "height": 5, "origin": "x"}
    assert type(replace(crate, height=7)) is Crate
    assert replace(crate, height=7).area() == 14
    with pytest.raises(UserError, match=r"^box\.height=-1 is not allowed"):
        replace(crate, height=-1)
    assert pickle.loads(pickle.dumps(crate)) == crate
    assert hash(crate) == hash(Crate(2, 5, origin="x"))
    with pytest.raises(FrozenInstanceError):
        crate.width = 3  # type: ignore[misc]


def test_a_refusal_is_a_value_error_with_key_and_range() -> None:
    with pytest.raises(ValueError, match=r"^box\.width=0 is not allowed: a whole number, at least 1$") as caught:
        Crate(0)
    assert isinstance(caught.value, Refused)
    assert (caught.value.key, caught.value.allowed) == ("box.width", "a whole number, at least 1")
