"""Odd tables and odd patterns on the whole way: the right labels, or one line that says what is wrong and where."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pets.data.datamodule import ImageDataModule
from pets.data.labels import RegexLabeller, TableLabeller
from pets.data.sources.table import CsvTable

Load = Callable[..., ImageDataModule]
FILES = [f"{breed}_{n}.jpg" for breed in ("Birman", "great_pyrenees", "pug") for n in range(2)]
ROWS = [[file, file.rpartition("_")[0]] for file in FILES]


def text(separator: str = ",", header: str = "file,label", end: str = "\n", extra: str = "") -> str:
    return end.join([header.replace(",", separator), *(separator.join(row) for row in ROWS)]) + end + extra


GOOD: dict[str, bytes] = {
    "plain": text().encode(),
    "byte-order mark": text().encode("utf-8-sig"),
    "semicolons": text(";").encode(),
    "tabs": text("\t").encode(),
    "bars": text("|").encode(),
    "Windows line ends": text(end="\r\n").encode(),
    "no line end": text().rstrip("\n").encode(),
    "blank lines": text(end="\n\n").encode(),
    "quotes": text().replace("pug_0.jpg", '"pug_0.jpg"').encode(),
    "blanks": text().replace(",", " , ").replace("file ", "file").replace(" label", "label").encode(),
    "dotted paths": text().replace("\npug", "\n././pug").encode(),
}
BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "has no column 'file', 'label'"),
    "header only": (b"file,label\n", "no row below its header"),
    "other columns": (text(header="path,breed").encode(), "has no column 'file', 'label'"),
    "one column": (b"file\npug_0.jpg\n", "has no column 'label'"),
    "column twice": (b"file,label,label\npug_0.jpg,a,b\n", "more than once"),
    "row twice": (text(extra="pug_0.jpg,pug\n").encode(), "is listed a second time"),
    "row twice, other spelling": (text(extra="x/../pug_0.jpg,cat\n").encode(), "is listed a second time"),
    "short row": (text(extra="pug_0.jpg\n").encode(), "line 8: it has more or fewer cells"),
    "long row": (text(extra="pug_2.jpg,pug,3\n").encode(), "line 8: it has more or fewer cells"),
    "no label": (text(extra="pug_2.jpg,\n").encode(), "column 'label' is empty"),
    "no file": (text(extra=",pug\n").encode(), "column 'file' is empty"),
    "open quote": (text(extra='"pug_2.jpg,pug\n').encode(), "no CSV file"),
    "Latin-1": (text(extra="caf\u00e9_1.jpg,pug\n").encode("latin-1"), "no CSV file in UTF-8"),
    "UTF-16": (text().encode("utf-16"), "no CSV file in UTF-8"),
    "NUL": (text(extra="\0,pug\n").encode(), "labels.csv"),
    "NUL in a name": (text(extra="pug_0\0.jpg,pug\n").encode(), "labels.csv"),
    "spreadsheet": (b"PK\x03\x04" + bytes(range(256)), "labels.csv"),
    "a cell of a megabyte": (text(extra=f"{'x' * 2**20},pug\n").encode(), "labels.csv"),
    "missing file": (text(extra="gone_1.jpg,pug\n").encode(), "1 of 7 files are not in data.root"),
    "password file": (text(extra="/etc/passwd,pug\n").encode(), "lies outside data.root"),
    "path above": (text(extra="../../../../../../etc/passwd,pug\n").encode(), "lies outside data.root"),
    "root itself": (text(extra=".,pug\n").encode(), "lies outside data.root"),
    "home": (text(extra="~root/.profile,pug\n").encode(), "1 of 7 files are not in data.root"),
    "address": (text(extra="https://example.org/x.jpg,pug\n").encode(), "1 of 7 files are not in data.root"),
    "line break in a name": (text(extra='"a\nb.jpg",pug\n').encode(), r"not in data.root"),
    "one class has one row": (text(extra="x.jpg,pug\n").replace("x.jpg,", "labels.csv,").encode(), "labels.csv"),
}


def table(cage: Path, content: bytes) -> dict[str, object]:
    (cage / "labels.csv").write_bytes(content)
    source = CsvTable(cage / "labels.csv")
    return {"source": source, "labeller": TableLabeller(source)}


@pytest.mark.parametrize("kind", GOOD)
def test_an_odd_table_is_read(kind: str, cage: Path, load: Load) -> None:
    data = load(**table(cage, GOOD[kind]))
    labels = [data.vocab[target] for target in data.table.targets]
    assert sorted([file, label] for file, label in zip(data.table.files, labels, strict=True)) == sorted(ROWS)


@pytest.mark.parametrize("kind", BAD)
def test_a_wrong_table_is_named(kind: str, cage: Path, load: Load) -> None:
    content, says = BAD[kind]
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        load(**table(cage, content))
    message = str(caught.value)
    assert says in message
    assert "labels.csv" in message
    assert len(message.splitlines()) == 1
    assert len(message) < 1000


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("nothing(.)", "finds no label in 6 of 6 file names"),
        ("(pug)", "finds no label in 4 of 6 file names"),
        ("()", "finds no label in 6 of 6 file names"),
        ("(?P<label>x)?", "finds no label in 6 of 6 file names"),
        ("(.+)", "one of every class is left to train on"),
        (r"(([a-zA-Z]+)+)+!", "takes more than"),
        (r"(.*)*(.*)*(.*)*$^", "takes more than"),
    ],
)
def test_a_wrong_pattern_is_named(
    pattern: str, says: str, cage: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pets.data.labels._REGEX_SECONDS", 0.2)
    for n in range(2):
        (cage / f"Birman_{n}.jpg").rename(cage / f"Birman{'a' * 40}_{n}.jpg")
    with pytest.raises(ValueError, match=r"data\.labeller\.pattern|data\.split") as caught:
        load(labeller=RegexLabeller(pattern))
    assert says in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_pattern_may_find_the_same_in_all(cage: Path, load: Load) -> None:
    assert list(load(labeller=RegexLabeller(r"(_)")).vocab) == ["_"]
