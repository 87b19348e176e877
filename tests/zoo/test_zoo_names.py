"""Odd file names, on the way to the loaders, in the manifest and in messages."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pets.data.datamodule import ImageDataModule
from pets.data.manifest import read_manifest

Load = Callable[..., ImageDataModule]
NAMES = {
    "spaces": "  two  spaces _1.jpg",
    "single quote": "cat's_1.jpg",
    "double quote": '"pug"_1.jpg',
    "line break": "first\nsecond_1.jpg",
    "line break at the end": "pug_1.jpg\n.jpg",
    "carriage return": "first\rsecond_1.jpg",
    "line separator": "first\u2028second_1.jpg",
    "tab": "a\tb_1.jpg",
    "escape sequence": "\x1b[31mred\x1b[0m_1.jpg",
    "right to left": "\u202egpj_1.jpg",
    "accents": "caf\u00e9_1.jpg",
    "accents, decomposed": "cafe\u0301_1.jpg",
    "Chinese": "\u54c8\u5df4\u72d7_1.jpg",
    "emoji": "\U0001f436_1.jpg",
    "200 characters": "x" * 194 + "_1.jpg",
    "no UTF-8": os.fsdecode(b"caf\xe9_1.jpg"),
    "dash": "-rf_1.jpg",
    "glob": "[ab]*?_1.jpg",
    "percent": "%s%d%(x)s_1.jpg",
    "braces": "${seed}{0}_1.jpg",
    "comma and equals": "a,b=c;d_1.jpg",
    "backslash": "up\\..\\_1.jpg",
    "formula": "=1+1_1.jpg",
    "capital suffix": "pug_1.JPG",
    "no suffix": "pug_1",
    "two suffixes": "pug_1.png.jpg",
}


def put(cage: Path, name: str, content: bytes) -> None:
    try:
        (cage / name).write_bytes(content)
    except OSError as error:
        pytest.skip(f"this file system refuses the name: {error}")


@pytest.mark.parametrize("kind", NAMES)
def test_an_odd_name_is_loaded_and_recorded(kind: str, cage: Path, load: Load, tmp_path: Path) -> None:
    put(cage, NAMES[kind], (cage / "pug_0.jpg").read_bytes())
    data = load(classes=None, labeller=lambda files: ["pug" for _ in files])
    assert NAMES[kind] in data.table.files
    data.write_manifest(tmp_path / "splits.json")
    manifest = read_manifest(tmp_path / "splits.json")
    assert NAMES[kind] in manifest.parts["train"] + manifest.parts["valid"]


@pytest.mark.parametrize("kind", NAMES)
def test_an_odd_name_of_a_broken_file_stays_one_line(kind: str, cage: Path, load: Load, tmp_path: Path) -> None:
    put(cage, NAMES[kind], b"\xff\xd8\xff broken")
    with pytest.raises(ValueError, match=r"cannot be decoded|not an image") as caught:
        load(labeller=lambda files: ["pug" for _ in files])
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert message.isprintable()
    assert NAMES[kind] in message or ascii(NAMES[kind])[1:-1] in message

    data = load(on_error="skip", labeller=lambda files: ["pug" for _ in files])
    assert list(data.left_out) == [NAMES[kind]]
    data.write_manifest(tmp_path / "splits.json")
    assert read_manifest(tmp_path / "splits.json").left_out == data.left_out
    assert json.loads((tmp_path / "splits.json").read_text(encoding="ascii"))["left_out"][0]["file"] == NAMES[kind]


def test_a_name_that_labels_nothing_is_quoted_on_one_line(cage: Path, load: Load) -> None:
    put(cage, "first\nsecond.jpg", b"")
    with pytest.raises(ValueError, match=r"finds no label in 1 of 7 file names: 'first\\nsecond\.jpg'$"):
        load()
