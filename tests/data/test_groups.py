"""Splits that keep groups whole, and folds."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pets.data.groups import groups_of
from pets.data.manifest import Split
from pets.data.sources.folder import ImageFolder
from pets.data.sources.table import CsvTable
from pets.data.splits import SplitRule

pytest.importorskip("sklearn")

FOLDER = ImageFolder("nowhere")
FILES = tuple(f"dog{i // 4:02}_{i:03}.jpg" for i in range(120))
"""Thirty dogs, four photographs each."""
DOGS = np.arange(120) // 4
TARGETS = DOGS % 3
DOG = r"(dog\d+)_"
GOLDEN = [1, 5, 18, 20, 27, 32]
"""The first of seed 42: a change here silently changes every fold that a user has made."""


def split(files: Sequence[str] = FILES, targets: np.ndarray = TARGETS, **options: Any) -> Split:
    return SplitRule(**options)(files, targets, ("a", "b", "c"), FOLDER)


def equal(a: Split, b: Split) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("method", ["auto", "random", "stratified", "kfold"])
@pytest.mark.parametrize("test_pct", [0.0, 0.2])
def test_no_group_is_in_two_parts(method: str, test_pct: float) -> None:
    options: dict[str, Any] = {"method": method, "group_by": DOG, "test_pct": test_pct}
    parts = split(**options)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(120))
    dogs = [set(DOGS[part].tolist()) for part in parts]
    assert sum(map(len, dogs)) == len(set.union(*dogs)) == 30
    assert len(parts.test) == 120 * test_pct
    assert 20 <= len(parts.valid) <= 28
    assert all(np.all(np.diff(part) > 0) for part in parts)
    assert equal(parts, split(**options))
    assert not equal(parts, split(**options, seed=7))


def test_a_random_split_without_groups_breaks_them() -> None:
    parts = split()
    assert set(DOGS[parts.train].tolist()) & set(DOGS[parts.valid].tolist())


def test_stratified_groups_keep_the_shares_of_the_classes() -> None:
    parts = split(method="stratified", group_by=DOG)
    assert np.bincount(TARGETS[parts.valid]).tolist() == [8, 8, 8]
    most = split(method="stratified", group_by=DOG, valid_pct=0.75)
    assert 84 <= len(most.valid) <= 96


@pytest.mark.parametrize("group_by", [None, DOG])
def test_every_image_is_validated_on_in_one_fold(group_by: str | None) -> None:
    folds = [split(method="kfold", fold=fold, group_by=group_by, test_pct=0.2) for fold in range(5)]
    assert all(np.array_equal(parts.test, folds[0].test) for parts in folds)
    validated = np.sort(np.concatenate([parts.valid for parts in folds]))
    assert np.array_equal(validated, np.setdiff1d(np.arange(120), folds[0].test))
    assert all(np.bincount(TARGETS[parts.valid], minlength=3).min() >= 4 for parts in folds)


def test_folds_are_stratified_and_a_function_of_the_seed() -> None:
    parts = split(method="kfold", folds=4, fold=1)
    assert np.bincount(TARGETS[parts.valid]).tolist() == [10, 10, 10]
    assert equal(parts, split(method="kfold", folds=4, fold=1))
    assert not equal(parts, split(method="kfold", folds=4, fold=1, seed=0))
    assert parts.valid.tolist()[:6] == GOLDEN


def test_a_named_group_and_the_first() -> None:
    assert groups_of(r"(\w+?)_(?P<group>\d)", FILES[:3], FOLDER).tolist() == [0, 0, 0]
    assert groups_of(r"_(\d+)", FILES[:3], FOLDER).tolist() == [0, 1, 2]


def test_a_column_of_a_table(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("file,label,owner\n1.jpg,x,Ann\n2.jpg,x,Bob\n3.jpg,y,Ann\n4.jpg,y,\n")
    table = CsvTable(path)
    assert groups_of("owner", ["1.jpg", "2.jpg", "3.jpg"], table).tolist() == [0, 1, 0]
    with pytest.raises(ValueError, match=r"group_by=owner: the column is empty for 1 files: '4\.jpg'"):
        groups_of("owner", ["1.jpg", "4.jpg"], table)
    with pytest.raises(ValueError, match=r"has no column 'vet'; its columns: 'file', 'label', 'owner'"):
        groups_of("vet", ["1.jpg"], table)


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("owner", "group_by='owner' is no column, as data=csv has them, and as a regular expression it needs a group"),
        ("(", r"group_by='\(' is not allowed: duplicates, a column of a table, or a regular expression"),
        (r"(cat\d+)_", "finds no group in 120 of 120 file names: 'dog00_000.jpg'"),
    ],
)
def test_a_pattern_that_does_not_fit(pattern: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        split(group_by=pattern)


def test_too_few_groups_for_the_folds() -> None:
    with pytest.raises(ValueError, match=r"120 images in 1 groups cannot be split so: .*number of groups: 1"):
        split(method="kfold", group_by="(dog)")
    with pytest.raises(ValueError, match=r"120 images in 1 groups cannot be split so: "):
        split(group_by="(dog)")


def test_without_scikit_learn_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.model_selection", None)
    with pytest.raises(ValueError, match=r'need the package scikit-learn: pip install "pets\[splits\]"'):
        split(method="kfold")


def test_options_without_effect_warn() -> None:
    with pytest.warns(UserWarning, match=r"fold=1 has no effect without data\.split\.method=kfold"):
        SplitRule(fold=1)
    with pytest.warns(UserWarning, match="group_by=owner has no effect: the parts are given"):
        SplitRule("column", group_by="owner")
    with pytest.raises(ValueError, match=r"data\.split\.fold=3 is not allowed: 0 to folds - 1 = 2"):
        SplitRule("kfold", folds=3, fold=3)


def test_the_share_taken_from_a_folder_train_keeps_groups_whole() -> None:
    files = [f"train/a/{file}" for file in FILES] + ["test/a/x.jpg"]
    parts = SplitRule(group_by=DOG)(files, np.zeros(121, dtype=np.int64), ("a",), FOLDER)
    assert parts.test.tolist() == [120]
    assert not set(DOGS[parts.train].tolist()) & set(DOGS[parts.valid].tolist())
