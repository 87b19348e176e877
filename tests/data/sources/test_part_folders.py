"""Folders train, valid and test: recognised, asked for, merged only on demand, and refused where they are unclear."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pets.augment.batch import BatchTransform
from pets.data.datamodule import ImageDataModule
from pets.data.labels import ParentLabeller, Vocab
from pets.data.manifest import Split, read_manifest
from pets.data.sources.folder import ImageFolder
from pets.data.sources.part_folders import part_folders
from pets.data.sources.table import CsvTable
from pets.data.splits import SplitRule

FOLDER = ImageFolder("nowhere")


def laid_out(*parts: str, each: int = 5) -> list[str]:
    """Return the files of two classes in every part."""
    return sorted(f"{part}/{pet}/{i}.jpg" for part in parts for pet in ("cat", "dog") for i in range(each))


def split(files: Sequence[str], rule: SplitRule | None = None, source: ImageFolder | CsvTable = FOLDER) -> Split:
    labels = ParentLabeller()(files)
    vocab = Vocab.from_labels(labels)
    return (rule or SplitRule())(files, vocab.encode(labels), vocab.classes, source)


def tops(files: Sequence[str], indices: np.ndarray) -> set[str]:
    return {files[i].split("/")[0] for i in indices}


@pytest.mark.parametrize("name", ["valid", "val", "validation", "Val"])
@pytest.mark.parametrize("method", ["auto", "folders"])
def test_the_folders_are_the_parts(name: str, method: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    files = laid_out("train", name, "test")
    parts = split(files, SplitRule(method))  # type: ignore[arg-type]
    assert [tops(files, part) for part in parts] == [{"train"}, {name}, {"test"}]
    assert [len(part) for part in parts] == [10, 10, 10]
    said = "data.split.method=auto: the folders are the parts: 10 train, 10 valid, 10 test"
    assert ([record.message for record in caplog.records] == [said]) if method == "auto" else not caplog.records


def test_without_a_folder_valid_a_share_of_train_is_for_validation(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    files = laid_out("train", "test")
    parts = split(files, SplitRule(valid_pct=0.3))
    assert [tops(files, part) for part in parts] == [{"train"}, {"train"}, {"test"}]
    assert [len(part) for part in parts] == [7, 3, 10]
    assert "the folders are the parts: 10 train, 10 test; 30% of train become valid" in caplog.text
    assert not np.array_equal(parts.valid, split(files, SplitRule(valid_pct=0.3, seed=1)).valid)


def test_random_merges_the_folders_only_when_it_is_typed(caplog: pytest.LogCaptureFixture) -> None:
    files = laid_out("train", "val", "test")
    parts = split(files, SplitRule("random"))
    assert tops(files, parts.train) == {"train", "val", "test"}
    assert "method=random draws new parts from the folders of all parts (10 train, 10 valid, 10 test)" in caplog.text


@pytest.mark.parametrize(
    ("files", "there"),
    [
        ([*laid_out("train", "val"), "cat/1.jpg", "cow/1.jpg"], r"val/ \(10 images\), 2 other folders \('cat', 'cow'"),
        ([*laid_out("train", "val"), "1.jpg"], r"val/ \(10 images\), 1 images in no folder"),
        (laid_out("train"), r"holds train/ \(10 images\);"),
        (laid_out("valid", "test"), r"holds test/ \(10 images\), valid/ \(10 images\);"),
        (laid_out("train", "val", "valid"), r"train/ .*, val/ .*, valid/"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["auto", "folders"])
def test_a_mixture_is_an_error_that_says_what_is_there(files: list[str], there: str, method: str) -> None:
    with pytest.raises(ValueError, match=there):
        SplitRule(method)(files, np.zeros(len(files), dtype=np.int64), ("pet",), FOLDER)  # type: ignore[arg-type]


def test_a_class_may_be_named_train(caplog: pytest.LogCaptureFixture) -> None:
    files = [f"{vehicle}/{i}.jpg" for vehicle in ("bus", "car", "train") for i in range(10)]
    assert [len(part) for part in split(files)] == [24, 6, 0]
    assert not caplog.text
    with pytest.raises(ValueError, match=r"holds train/ \(10 images\), 2 other folders \('bus', 'car'\); part folders"):
        split(files, SplitRule("folders"))


def test_images_without_class_folder_are_an_error() -> None:
    files = sorted([*laid_out("train", "val"), "test/1.jpg", "test/2.jpg"])
    with pytest.raises(ValueError, match=r"2 images lie directly in a part folder, .*'test/1\.jpg', 'test/2\.jpg'; "):
        split(files)


def test_a_class_of_valid_alone_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 of 3 classes have no file to train on: 'cow'"):
        split([*laid_out("train", "val"), "val/cow/1.jpg"])


def test_the_rows_of_a_table_have_parts_by_folder_only_on_demand() -> None:
    files = laid_out("train", "val")
    table = CsvTable("nowhere.csv")
    assert tops(files, split(files, source=table).train) == {"train", "val"}
    assert tops(files, split(files, SplitRule("folders"), table).train) == {"train"}


def test_a_share_for_a_test_part_has_no_effect(caplog: pytest.LogCaptureFixture) -> None:
    split(laid_out("train", "val", "test"), SplitRule(test_pct=0.1))
    assert "data.split.test_pct=0.1 has no effect: the folders are the parts" in caplog.text
    with pytest.warns(UserWarning, match=r"test_pct=0\.1 has no effect"):
        SplitRule("folders", test_pct=0.1)


def test_files_without_part_folders_have_none() -> None:
    assert part_folders(["cat/1.jpg", "dog/1.jpg"]) is None
    assert part_folders(["1.jpg"]) is None


def test_the_manifest_repeats_the_parts(tmp_path: Path) -> None:
    for file in laid_out("train", "val", each=2):
        path = tmp_path / "images" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16)).save(path)
    data = ImageDataModule(ImageFolder(tmp_path / "images"), ParentLabeller(), SplitRule(), BatchTransform())
    data.setup()
    assert list(data.vocab) == ["cat", "dog"]
    data.write_manifest(tmp_path / "splits.json")
    manifest = read_manifest(tmp_path / "splits.json")
    assert manifest.parts["valid"] == laid_out("val", each=2)
    again = SplitRule(manifest=str(tmp_path / "splits.json"))
    assert np.array_equal(split(data.table.files.tolist(), again).valid, data.splits.valid)
