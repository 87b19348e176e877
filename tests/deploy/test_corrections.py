"""The table of corrected labels: it grows, keeps what is there, and is no table of anybody else's."""

from pathlib import Path

import pytest

from pets.deploy.corrections import Corrections
from pets.errors import UserError


@pytest.fixture(scope="module")
def photo(tiny_pets: Path) -> bytes:
    return (tiny_pets / "pug_3.jpg").read_bytes()


def test_a_table_that_is_there_goes_on(tmp_path: Path, photo: bytes) -> None:
    path = tmp_path / "table.csv"
    first = Corrections(path)
    first.add(photo, '=pug, the "dog"')
    assert Corrections(path).labels == first.labels


@pytest.mark.parametrize("text", ["file,label,comment\na.jpg,pug,mine\n", "file,label\na.jpg\n", "", "\0"])
def test_a_table_of_a_persons_own_is_never_rewritten(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.csv").write_text(text)
    with pytest.raises(UserError, match=r"serve\.corrections=.*mine\.csv is no table of file and label"):
        Corrections(tmp_path / "mine.csv")
    assert (tmp_path / "mine.csv").read_text() == text


def test_a_full_table_takes_no_more(tmp_path: Path, photo: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pets.deploy.corrections.MAX_CORRECTIONS", 0)
    with pytest.raises(UserError, match="holds 0 rows"):
        Corrections(tmp_path / "table.csv").add(photo, "pug")
