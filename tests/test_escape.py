"""Names of strangers do nothing where they are shown: no formula, no markup, nothing that cannot be drawn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pets.escape import from_cell, markdown, printable, to_cell


@pytest.mark.parametrize("text", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=cmd|' /C calc'!A0"])
def test_a_cell_never_begins_like_a_formula(text: str) -> None:
    assert to_cell(text) == f"'{text}"
    assert from_cell(f"'{text}") == text


@pytest.mark.parametrize("value", [-0.5, 3, None, "-0.5", "+3e-05", "-.5", "pug_1.jpg", "'quoted'", "a=b", ""])
def test_numbers_and_ordinary_texts_stay(value: object) -> None:
    assert to_cell(value) == value


@given(st.text(alphabet=st.sampled_from("'=+-@\t\r\n1.eab\udce9\udc80é"), max_size=8))
def test_a_cell_gives_back_the_text_it_was_made_of(text: str) -> None:
    cell = to_cell(text)
    assert isinstance(cell, str)
    assert cell.encode("utf-8").decode() == cell
    assert from_cell(cell) == text


def test_markdown_shows_a_name_as_it_is() -> None:
    assert markdown("great_pyrenees") == "great_pyrenees"
    assert markdown("a|b\n<img src=x onerror=alert(1)>") == r"a\|b\\n&lt;img src=x onerror=alert(1)&gt;"
    assert markdown("[x](http://y) `c` *b* _i_ # h") == r"\[x\](http://y) \`c\` \*b\* \_i\_ # h"
    assert markdown("# h") == r"\# h"


def test_what_cannot_be_drawn_is_spelt_out() -> None:
    assert printable("caf\udce9 \x1b[31m\u202e é") == r"caf\udce9 \x1b[31m\u202e é"
