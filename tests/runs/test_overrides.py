"""What a person types is what the program gets, whatever characters a path has."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pets.errors import UserError
from pets.runs.overrides import PATH_KEYS, as_typed, key, parse, quoted, value_text, values, within

NAMES = [
    "/home/jörg/my photos", "/a/it's", '/a/"b"', "/a/b\\", "/a/b\\\\", "/a/\\'", "a,b", "[x]", "{y: 1}", "2024", "true",
    "x=1", "(1)", "a:b", "lr=0.1,wd=0", "line\nbreak", "tab\there", "#1", "$HOME", "%20", "-", "é" * 300,
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("where", ["data.root", "ckpt_path", "hydra.run.dir", "source", "data.split.from"])
def test_a_path_is_typed_as_a_shell_passes_it(where: str, name: str) -> None:
    assert values([as_typed(f"{where}={name}")]) == {where: name}


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_any_text_survives_the_quotes(text: str) -> None:
    if "${" not in text:  # an interpolation stays one
        assert parse(f"x={quoted(text)}").value() == text


def test_what_is_quoted_already_is_left_alone() -> None:
    assert as_typed("data.root='my photos'") == "data.root='my photos'"


def test_a_home_folder_may_be_written_with_a_tilde() -> None:
    home = str(Path.home())
    assert values([as_typed("data.root=~/photos")]) == {"data.root": f"{home}/photos"}
    assert values([as_typed("data.root=~root/x")]) == {"data.root": str(Path("~root/x").expanduser())}
    assert as_typed("~callbacks.dashboards") == "~callbacks.dashboards"
    assert values([as_typed("model.arch=a~/b")]) == {"model.arch": "a~/b"}


def test_a_pattern_needs_no_quotes_of_its_own() -> None:
    assert values([as_typed(r"data.labeller.pattern=(.+)_\d+\.jpg$")]) == {"data.labeller.pattern": r"(.+)_\d+\.jpg$"}


def test_commas_are_a_sweep_in_a_multirun_only() -> None:
    assert values([as_typed("data.root=a,b")]) == {"data.root": "a,b"}
    assert parse(as_typed("data.root=a,b", multirun=True)).is_sweep_override()


def test_numbers_lists_and_null_stay_what_they_are() -> None:
    typed = ["seed=3", "recipe.momenta=[0.9,0.8,0.9]", "data.exclude=null", "recipe.base_lr=1e-3"]
    assert [as_typed(text) for text in typed] == typed


def test_an_old_name_is_todays() -> None:
    assert as_typed("model.source=timm") == "model.library=timm"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6) | st.sampled_from(NAMES),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["lr", "epochs"]), inner, max_size=2)
        ),
        max_leaves=6,
    )
)
def test_a_plain_value_survives_the_grammar(value: object) -> None:
    assert parse(f"x={value_text(value)}").value() == value


def test_a_reference_stays_one_and_a_resolver_is_refused() -> None:
    assert value_text("${augment.size}") == "${augment.size}"
    for text in ("${oc.env:HOME}", "x${seed}", "${oc.create:{a: 1}}"):
        with pytest.raises(UserError, match="more than a key"):
            value_text(text)
    with pytest.raises(UserError, match="no plain names"):
        value_text({"_target_": "os.system"})


def test_keys_and_what_lies_below_them() -> None:
    assert [key(text) for text in ("+a.b=1", "~a.b", "++a=2", "a@_global_=x")] == ["a.b", "a.b", "a", "a"]
    assert within("model.head.dropout", ["model"])
    assert not within("models", ["model"])
    assert {"data.root", "ckpt_path", "source", "model.weights", "export.folder"} <= PATH_KEYS
