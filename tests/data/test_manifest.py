"""The split manifest: it repeats a split, and refuses what was changed or does not fit."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pets.data.manifest import Split, read_manifest, write_manifest
from pets.data.sources.folder import ImageFolder
from pets.data.splits import SplitRule

FILES = tuple(f"{i:03}.jpg" for i in range(100))
TARGETS = np.arange(100) % 4
CLASSES = ("a", "b", "c", "d")
FOLDER = ImageFolder("nowhere")


def split(rule: SplitRule) -> Split:
    """Split the hundred files of four classes."""
    return rule(FILES, TARGETS, CLASSES, FOLDER)


def equal(a: Split, b: Split) -> bool:
    """Say whether two splits are the same."""
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def recorded(tmp_path: Path) -> tuple[Path, Split]:
    """Write the manifest of a split into three parts."""
    parts = split(SplitRule(test_pct=0.1))
    write_manifest(tmp_path / "splits.json", FILES, parts, {"broken.jpg": "truncated"})
    return tmp_path / "splits.json", parts


def test_a_manifest_repeats_its_split(tmp_path: Path) -> None:
    path, parts = recorded(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["splits.json"]
    assert equal(split(SplitRule(manifest=path, seed=7)), parts)


def test_a_manifest_follows_names_not_places(tmp_path: Path) -> None:
    path, parts = recorded(tmp_path)
    order = np.random.default_rng(0).permutation(100)
    moved = SplitRule(manifest=path)([FILES[i] for i in order], TARGETS[order], CLASSES, FOLDER)
    assert all(set(order[new]) == set(old) for new, old in zip(moved, parts, strict=True))


def test_the_hash_tells_parts_apart_and_nothing_else(tmp_path: Path) -> None:
    def digest(train: list[int], valid: list[int], files: tuple[str, ...] = FILES) -> str:
        parts = Split(*(np.array(indices, dtype=np.int64) for indices in (train, valid, [])))
        write_manifest(tmp_path / "s.json", files, parts, {})
        return json.loads((tmp_path / "s.json").read_text())["hash"]

    assert digest([0, 1], [2]) == digest([1, 0], [2])
    assert len({digest([0, 1], [2]), digest([0], [1, 2]), digest([0, 2], [1]), digest([0, 1], [3])}) == 4
    assert digest([0], [1]) == "d56f415d4182abad61e0d7caa99e2a17c3006048ec7b9c1094ce475367a725d7"


def test_a_manifest_says_what_is_left_out(tmp_path: Path) -> None:
    parts = Split(np.array([0, 1]), np.array([2]), np.array([], dtype=np.int64))
    write_manifest(tmp_path / "splits.json", FILES[:4], parts, {"broken.jpg": "truncated"})
    assert json.loads((tmp_path / "splits.json").read_text())["left_out"] == [
        {"file": "003.jpg", "reason": "in no part of the split"},
        {"file": "broken.jpg", "reason": "truncated"},
    ]
    assert read_manifest(tmp_path / "splits.json").left_out["broken.jpg"] == "truncated"


def test_odd_names_survive(tmp_path: Path) -> None:
    files = ("caf\udce9_1.jpg", "\u732b 2.jpg", 'quo"te\n3.jpg')
    write_manifest(tmp_path / "s.json", files, Split(*(np.array([i]) for i in range(3))), {})
    assert [name for names in read_manifest(tmp_path / "s.json").parts.values() for name in names] == list(files)


def test_a_manifest_for_other_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, parts = recorded(tmp_path)
    rule = SplitRule(manifest=path)
    more = rule(("!new.jpg", *FILES, "broken.jpg"), np.array([0, *TARGETS, 0]), CLASSES, FOLDER)
    assert np.array_equal(more.valid, parts.valid + 1)
    assert "names no part for 1 of 102 files; not used: '!new.jpg'" in caplog.text
    with pytest.raises(ValueError, match=r"from=.*: 1 of 100 files that it names are not in the data: '099\.jpg'"):
        rule(FILES[:99], TARGETS[:99], CLASSES, FOLDER)


def move_a_file(content: dict[str, Any]) -> None:
    content["parts"]["train"].append(content["parts"]["valid"].pop())


def other_version(content: dict[str, Any]) -> None:
    content["version"] = 2


def without_hash(content: dict[str, Any]) -> None:
    del content["hash"]


def null_parts(content: dict[str, Any]) -> None:
    content["parts"] = None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (move_a_file, "its hash does not fit its parts"),
        (other_version, "has version 2; this program reads version 1"),
        (without_hash, "is not a split manifest"),
        (null_parts, "is not a split manifest"),
    ],
)
def test_a_changed_manifest_is_refused(tmp_path: Path, change: Callable[[dict[str, Any]], None], says: str) -> None:
    path, _ = recorded(tmp_path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"data\.split\.from=.*{says}"):
        split(SplitRule(manifest=path))


def test_a_manifest_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"data\.split\.from=.* does not exist"):
        split(SplitRule(manifest=tmp_path / "nothing.json"))
    for content in ("", "[]", "{", "caf\u00e9"):
        (tmp_path / "bad.json").write_text(content, encoding="utf-8")
        with pytest.raises(ValueError, match="is not a split manifest"):
            split(SplitRule(manifest=tmp_path / "bad.json"))
