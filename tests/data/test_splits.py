"""Splits: whose items, how many, and repeatable."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pets.data.manifest import Split
from pets.data.sources.folder import ImageFolder
from pets.data.sources.table import CsvTable
from pets.data.splits import SplitRule

FILES = tuple(f"{i:03}.jpg" for i in range(100))
TARGETS = np.arange(100) % 4
CLASSES = ("a", "b", "c", "d")
FOLDER = ImageFolder("nowhere")
GOLDEN = [4, 7, 12, 22, 34, 38, 41, 44, 45, 47, 57, 60, 62, 67, 71, 73, 74, 85, 91, 95]
"""The places of seed 42: a change here silently changes every split that a user has made."""


def split(rule: SplitRule) -> Split:
    """Split the hundred files of four classes."""
    return rule(FILES, TARGETS, CLASSES, FOLDER)


def equal(a: Split, b: Split) -> bool:
    """Say whether two splits are the same."""
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def official(parts: dict[str, list[str]]) -> ImageFolder:
    """Return a source that comes with a split."""
    source = ImageFolder("nowhere")
    source.official = lambda: parts  # type: ignore[method-assign]
    return source


def test_random_golden_values() -> None:
    assert split(SplitRule()).valid.tolist() == GOLDEN


@pytest.mark.parametrize(
    ("n", "valid_pct", "expected"), [(7390, 0.2, 1478), (101, 0.2, 20), (100, 0.29, 28), (10, 0.999, 9)]
)
def test_random_takes_the_floor(n: int, valid_pct: float, expected: int) -> None:
    parts = SplitRule(valid_pct=valid_pct)([str(i) for i in range(n)], np.zeros(n, dtype=np.int64), ["a"], FOLDER)
    assert [len(part) for part in parts] == [n - expected, expected, 0]


def test_seeds_differ_and_zero_is_one() -> None:
    splits = [split(SplitRule(seed=seed)) for seed in (0, 1, 42)]
    assert not equal(splits[0], splits[1])
    assert not equal(splits[0], splits[2])
    assert equal(splits[0], split(SplitRule(seed=0)))


def test_a_test_part_does_not_move_the_others() -> None:
    plain, three = split(SplitRule()), split(SplitRule(test_pct=0.1))
    assert np.array_equal(plain.valid, three.valid)
    assert np.array_equal(three.test, split(SplitRule(test_pct=0.1, valid_pct=0.3)).test)


def test_the_global_generators_are_left_alone() -> None:
    np.random.seed(0)
    torch.manual_seed(0)
    expected = np.random.rand(), torch.rand(1)
    np.random.seed(0)
    torch.manual_seed(0)
    split(SplitRule(method="stratified"))
    assert (np.random.rand(), torch.rand(1)) == expected


@given(
    targets=st.lists(st.integers(0, 5), min_size=30, max_size=120),
    valid_pct=st.floats(0.05, 0.5),
    test_pct=st.sampled_from([0.0, 0.1, 0.3]),
    method=st.sampled_from(["random", "stratified"]),
    seed=st.integers(0, 99),
)
def test_random_parts_cover_everything_once(
    targets: list[int], valid_pct: float, test_pct: float, method: Literal["random", "stratified"], seed: int
) -> None:
    codes = np.array(targets + list(range(6)) * 3)
    n = len(codes)
    parts = SplitRule(method, valid_pct, test_pct, seed)._random(codes, 6)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(n))
    assert (len(parts.valid), len(parts.test)) == (int(n * valid_pct), int(n * test_pct))
    assert all(part.dtype == np.int64 and np.all(np.diff(part) > 0) for part in parts)
    if method == "stratified":
        assert set(codes[parts.train]) == set(range(6))
        shares = np.bincount(codes[parts.valid], minlength=6) - np.bincount(codes, minlength=6) * len(parts.valid) / n
        assert np.abs(shares).max() < 1


def test_stratified_gives_the_left_over_to_the_largest_remainder() -> None:
    targets = np.repeat([0, 1, 2], [11, 14, 5])
    parts = SplitRule("stratified", 0.2)([str(i) for i in range(30)], targets, "abc", FOLDER)
    assert np.bincount(targets[parts.valid]).tolist() == [2, 3, 1]


def test_stratified_leaves_one_of_every_class_to_train_on() -> None:
    targets = np.array([0, 1, 2, *[3] * 7])
    parts = SplitRule("stratified", 0.5)([str(i) for i in range(10)], targets, "abcd", FOLDER)
    assert np.bincount(targets[parts.train]).tolist() == [1, 1, 1, 2]
    with pytest.raises(ValueError, match="8 of 10 files cannot be taken"):
        SplitRule("stratified", 0.8)([str(i) for i in range(10)], targets, "abcd", FOLDER)


def test_a_class_without_training_file_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 of 5 classes have no file to train on: 'e'"):
        SplitRule()(FILES, TARGETS, (*CLASSES, "e"), FOLDER)


def test_an_empty_part_is_an_error() -> None:
    with pytest.raises(ValueError, match="the part 'valid' of 4 files is empty"):
        SplitRule()(FILES[:4], TARGETS[:4], CLASSES, FOLDER)
    with pytest.raises(ValueError, match="the part 'test' of 8 files is empty"):
        SplitRule(test_pct=0.1)(FILES[:8], TARGETS[:8], CLASSES, FOLDER)


def test_official_parts_in_the_order_of_the_files(caplog: pytest.LogCaptureFixture) -> None:
    source = official({"valid": ["009.jpg", "004.jpg"], "train": list(FILES[10:20])})
    parts = SplitRule("official")(FILES[:20], TARGETS[:20], CLASSES, source)
    assert parts.valid.tolist() == [4, 9]
    assert parts.train.tolist() == list(range(10, 20))
    assert len(parts.test) == 0
    assert "names no part for 8 of 20 files; not used: '000.jpg'" in caplog.text


def test_official_parts_may_name_what_was_left_out(caplog: pytest.LogCaptureFixture) -> None:
    parts = {"train": list(FILES[:10]), "valid": ["010.jpg", "broken.jpg"]}
    rule = SplitRule("official")
    drawn = rule(FILES[:11], TARGETS[:11], CLASSES, official(parts), left_out=["broken.jpg"])
    assert drawn.valid.tolist() == [10]
    assert not caplog.text
    with pytest.raises(
        ValueError, match=r"method=official: 1 of 12 files that it names are not in the data: 'broken\.jpg'"
    ):
        rule(FILES[:11], TARGETS[:11], CLASSES, official(parts))


def test_overlapping_parts_are_an_error() -> None:
    source = official({"train": ["000.jpg", "001.jpg"], "valid": ["001.jpg"]})
    with pytest.raises(ValueError, match=r"1 files are named twice, so that parts overlap: '001\.jpg'"):
        SplitRule("official")(FILES[:2], TARGETS[:2], CLASSES, source)


def test_column(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    rows = [f"{file},{int(i % 10 == 0)},x" for i, file in enumerate(FILES)]
    path.write_text("\n".join(["file,is_valid,label", *rows]))
    parts = SplitRule("column")(FILES, TARGETS, CLASSES, CsvTable(path, valid_column="is_valid"))
    assert parts.valid.tolist() == list(range(0, 100, 10))
    with pytest.raises(ValueError, match="method=column needs a table"):
        split(SplitRule("column"))


@pytest.mark.parametrize(
    "options",
    [{"method": "k-fold"}, {"valid_pct": 0.0}, {"valid_pct": 1}, {"valid_pct": float("nan")}, {"test_pct": -0.1},
     {"test_pct": 0.8}, {"seed": -1}],
)  # fmt: skip
def test_options_out_of_range(options: dict[str, float]) -> None:
    ((key, value),) = options.items()
    with pytest.raises(ValueError, match=rf"data\.split\.{key}=.?{value}"):
        SplitRule(**options)  # type: ignore[arg-type]


def test_an_option_without_effect_warns(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"test_pct=0\.1 has no effect"):
        SplitRule("official", test_pct=0.1)
    with pytest.warns(UserWarning, match=r"test_pct=0\.1 has no effect"):
        SplitRule(test_pct=0.1, manifest=tmp_path / "splits.json")


def test_config_keys() -> None:
    reserved: dict[str, Any] = {"from": "x.json"}
    assert SplitRule(method="stratified", **reserved) == SplitRule("stratified", manifest="x.json")
    with pytest.raises(ValueError, match=r"^no key data\.split\.valid; did you mean data\.split\.valid_pct\?$"):
        SplitRule(valid=0.2)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match=r"^data\.split\.from=5 is not allowed: a text, or null$"):
        SplitRule(manifest=5)  # type: ignore[arg-type]
