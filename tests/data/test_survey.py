"""Every defect is found and named, near-duplicates are paired, and nothing is changed."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from pets.data.duplicates import Pair, near_duplicates
from pets.data.image_table import ImageTable
from pets.data.labels import Vocab
from pets.data.manifest import Split
from pets.data.survey import MORE, Facts, class_advice, class_findings, class_warning, findings, survey


def drawing(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """Draw a few random shapes, so that two seeds look different."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", size, tuple(int(value) for value in rng.integers(0, 256, 3)))
    draw = ImageDraw.Draw(image)
    for _ in range(8):
        x, y, w, h = (int(value) for value in rng.integers(0, 100, 4))
        draw.ellipse((x, y, x + w, y + h), fill=tuple(int(value) for value in rng.integers(0, 256, 3)))
    return image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    drawing(0).save(tmp_path / "plain.jpg", quality=95)
    drawing(0).resize((80, 60)).save(tmp_path / "smaller.jpg", quality=60)
    drawing(1).save(tmp_path / "other.jpg")
    drawing(2).save(tmp_path / "really.jpg", format="PNG")
    drawing(3).convert("L").save(tmp_path / "grey.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    drawing(4).save(tmp_path / "turned.jpg", exif=exif)
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "other.jpg").read_bytes()[:900])
    return tmp_path


def test_every_defect_is_named_and_nothing_changed(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    found = findings(survey(folder, sorted(before)), min_side=100, max_side=150)
    by_kind: dict[str, set[str]] = {}
    for kind, file, _ in found:
        by_kind.setdefault(kind, set()).add(file)
    assert by_kind["unreadable"] == {"empty.jpg", "cut.jpg"}
    assert by_kind["wrong suffix"] == {"really.jpg"}
    assert by_kind["colour model"] == {"grey.jpg"}
    assert by_kind["EXIF rotation"] == {"turned.jpg"}
    assert by_kind["tiny"] == {"smaller.jpg"}
    assert by_kind["huge"] == {"plain.jpg", "other.jpg", "really.jpg", "grey.jpg", "turned.jpg"}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_sound_image_has_no_findings(folder: Path) -> None:
    assert findings(survey(folder, ["plain.jpg"]), min_side=10, max_side=1000) == []


def test_the_same_picture_at_another_size_and_quality_is_a_near_duplicate(folder: Path) -> None:
    files = ["plain.jpg", "smaller.jpg", "other.jpg", "really.jpg"]
    hashes = np.array([facts.phash for facts in survey(folder, files)], dtype=np.uint64)
    pairs = near_duplicates(hashes, max_distance=6)
    assert [(pair.first, pair.second) for pair in pairs] == [(0, 1)]


def test_upright_size_is_reported(folder: Path) -> None:
    facts = survey(folder, ["turned.jpg"])[0]
    assert (facts.width, facts.height, facts.orientation) == (120, 160, 6)


@given(st.lists(st.integers(0, 2**64 - 1), max_size=40), st.integers(0, 64))
def test_pairs_are_those_of_the_definition(values: list[int], limit: int) -> None:
    hashes = np.array(values, dtype=np.uint64)
    expected = {
        Pair(i, j, (values[i] ^ values[j]).bit_count())
        for i in range(len(values))
        for j in range(i + 1, len(values))
        if (values[i] ^ values[j]).bit_count() <= limit
    }
    assert set(near_duplicates(hashes, limit)) == expected


def test_pairs_are_found_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pets.data.duplicates.BLOCK", 2)
    assert near_duplicates(np.array([7, 99, 12345, 7], dtype=np.uint64), 0) == [Pair(0, 3, 0)]


def test_unreadable_files_have_no_hash() -> None:
    assert Facts("x.jpg", error="the file is empty").phash is None


def table_of(train: str, valid: str, test: str = "") -> ImageTable:
    """A table of images without files, each a letter that is its class."""
    vocab, letters = Vocab(["a", "b", "c"]), train + valid + test
    parts, start = [], 0
    for part in (train, valid, test):
        parts.append(np.arange(start, start := start + len(part)))
    files = np.array([f"{number}.jpg" for number in range(len(letters))])
    return ImageTable(Path(), files, np.array(vocab.encode(list(letters))), vocab, Split(*parts))


def test_classes_with_few_images_or_none_in_a_part_are_told_with_what_helps() -> None:
    found = class_findings(table_of("aaaaaabbbc", "aaab"))
    assert [(finding.kind, finding.detail) for finding in found] == [
        ("few images", "b: 4"), ("few images", "c: 1"), ("none in valid", "c"),
    ]  # fmt: skip
    assert class_warning(found, "random") == (
        "classes with few images: 'b: 4', 'c: 1'; with none in valid: 'c'; "
        "a class needs 5 images or more to be learned and measured"
    )


def test_a_stratified_split_is_proposed_where_it_helps_and_is_not_chosen_yet() -> None:
    found = class_findings(table_of("aaaabbbbcccccc", "aabb"))
    assert class_advice(found, "random") == ["data.split.method=stratified gives every part its share of each class"]
    assert class_advice(found, "stratified") == []
    assert class_advice(class_findings(table_of("aaaabbbbccc", "aabb")), "random") == [MORE], "three cannot be shared"


def test_five_images_in_every_part_that_there_is_are_enough() -> None:
    found = class_findings(table_of("aaaabbbbcccc", "abc"))
    assert found == []
    assert class_warning(found, "random") is None


def test_a_class_that_only_the_test_part_lacks_is_told() -> None:
    assert [finding.kind for finding in class_findings(table_of("aaaabbbbcccc", "abc", "ab"))] == ["none in test"]
