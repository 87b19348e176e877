"""The contents of a data set: what is left out, labelled anew and written down."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pets.data.image_table import ImageTable, build_image_table
from pets.data.labels import RegexLabeller
from pets.data.manifest import read_manifest, write_manifest
from pets.data.sources.folder import ImageFolder
from pets.data.splits import SplitRule


def contents(root: Path, rule: SplitRule | None = None, /, **options: Any) -> ImageTable:
    return build_image_table(ImageFolder(root), RegexLabeller(), rule or SplitRule(), **options)


@pytest.fixture
def pets_copy(tiny_pets: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_pets, tmp_path / "pets"))


def test_skip_leaves_out_what_cannot_be_decoded_and_says_so(pets_copy: Path, tmp_path: Path) -> None:
    (pets_copy / "pug_99.jpg").write_bytes((pets_copy / "pug_1.jpg").read_bytes()[:-30])
    (pets_copy / "Birman_99.jpg").touch()
    data = contents(pets_copy, on_error="skip")
    reasons = {
        "Birman_99.jpg": "the file is empty",
        "pug_99.jpg": "cannot be decoded: Image is incomplete or truncated",
    }
    assert data.left_out == reasons
    assert len(data) == 24
    assert not set(reasons) & set(data.files.tolist())
    assert str(data).endswith("; left out: 2")
    write_manifest(tmp_path / "splits.json", data.files.tolist(), data.split, data.left_out)
    assert read_manifest(tmp_path / "splits.json").left_out == reasons
    again = contents(pets_copy, SplitRule(manifest=tmp_path / "splits.json"), on_error="skip")
    for part, other in zip(data.split, again.split, strict=True):
        assert np.array_equal(part, other)


def test_skip_with_nothing_left(tmp_path: Path) -> None:
    (tmp_path / "pug_1.jpg").touch()
    with pytest.raises(
        ValueError, match=r"data\.on_error=skip leaves no image: none of 1 can be decoded: 'pug_1\.jpg'"
    ):
        contents(tmp_path, on_error="skip")


def test_excluded_images_and_corrected_labels(tiny_pets: Path, tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("file,why\npug_1.jpg,blurred\npug_2.jpg,a cat\n")
    (tmp_path / "new.csv").write_text("file,label\nBirman_0.jpg,pug\n")
    data = contents(tiny_pets, exclude=tmp_path / "out.csv", relabel=tmp_path / "new.csv")
    assert data.left_out == {"pug_1.jpg": "excluded by out.csv", "pug_2.jpg": "excluded by out.csv"}
    items = data
    labels = {file: items.vocab[target] for file, target in zip(items.files, items.targets, strict=True)}
    assert len(labels) == 22
    assert labels["Birman_0.jpg"] == "pug"
    assert labels["Birman_1.jpg"] == "Birman"


def test_excluding_everything(tiny_pets: Path, tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("\n".join(["file", *(path.name for path in tiny_pets.iterdir())]))
    with pytest.raises(ValueError, match=r"data\.exclude=\S+/out\.csv leaves none of 24 images"):
        contents(tiny_pets, exclude=tmp_path / "out.csv")


@pytest.mark.parametrize("key", ["exclude", "relabel"])
def test_a_correction_that_does_not_fit_the_data(key: str, tiny_pets: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    with pytest.raises(FileNotFoundError, match=rf"data\.{key}=.*table\.csv does not exist"):
        contents(tiny_pets, **{key: table})
    table.write_text("file,label\npug_1.jpg,Birman\nwolf_1.jpg,Birman\n")
    with pytest.raises(ValueError, match=rf"data\.{key}=.*table\.csv names 1 files .* not in the data: 'wolf_1\.jpg'"):
        contents(tiny_pets, **{key: table})
    table.write_text("name\npug_1.jpg\n")
    with pytest.raises(ValueError, match=r"table\.csv has no column 'file'.*'name'"):
        contents(tiny_pets, **{key: table})


def test_what_is_no_image_is_counted(pets_copy: Path) -> None:
    (pets_copy / "notes.mat").write_text("not an image")
    assert str(contents(pets_copy)) == (f"24 images of 3 classes in {pets_copy}: 20 train, 4 valid; ignored: 1 .mat")
