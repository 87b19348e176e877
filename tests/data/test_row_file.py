"""Rows under digests: what was written is found again, and nothing that was not."""

import os
from pathlib import Path

import numpy as np
import pytest

from pets.data.cache.contents import DIGEST
from pets.data.cache.row_file import MemoryRows, RowFile, Rows

WIDTH = 5


def some(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, DIGEST)).astype(np.uint8), rng.normal(size=(n, WIDTH)).astype(np.float32)


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Rows:
    return MemoryRows(WIDTH) if request.param == "memory" else RowFile(tmp_path / "x.bin", WIDTH)


def test_what_was_added_is_found_in_any_order_and_as_often_as_asked(store: Rows) -> None:
    keys, rows = some(6)
    assert not store.read(keys)[1].any()
    with store.turn():
        store.append(keys[:2], rows[:2])
        store.append(keys[2:4], rows[2:4])
    asked = [3, 5, 0, 3]
    found_rows, found = store.read(keys[asked])
    assert found.tolist() == [True, False, True, True]
    assert np.array_equal(found_rows[found], rows[[3, 0, 3]])


@pytest.mark.parametrize(
    ("damage", "whole"),
    [
        ("half a record more", 4),
        ("the last record cut", 3),
        ("a bit of the second row", 1),
        ("a bit of the first key", 0),
        ("empty", 0),
        ("zeros behind", 4),
    ],
)
def test_records_before_a_damage_count_and_those_after_it_are_written_anew(
    damage: str, whole: int, tmp_path: Path
) -> None:
    path, (keys, rows) = tmp_path / "x.bin", some(4)
    store = RowFile(path, WIDTH)
    store.append(keys, rows)
    data = bytearray(path.read_bytes())
    size = len(data) // 4
    if damage == "half a record more":
        data += data[: size // 2]
    elif damage == "the last record cut":
        del data[-1:]
    elif damage == "a bit of the second row":
        data[size + DIGEST] ^= 1
    elif damage == "a bit of the first key":
        data[0] ^= 1
    elif damage == "empty":
        data.clear()
    else:
        data += bytes(3 * size)
    path.write_bytes(data)
    again = RowFile(path, WIDTH)
    found = again.read(keys)[1]
    assert found.tolist() == [True] * whole + [False] * (4 - whole)
    again.append(keys[~found], rows[~found])
    assert RowFile(path, WIDTH).read(keys)[1].all()
    assert path.stat().st_size == 4 * size


def test_no_link_is_followed(tmp_path: Path) -> None:
    keys, rows = some(1)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "x.bin").symlink_to(victim)
    store = RowFile(tmp_path / "x.bin", WIDTH)
    with pytest.raises(OSError, match="symbolic link"):
        store.read(keys)
    with pytest.raises(OSError, match="symbolic link"):
        store.append(keys, rows)
    assert victim.read_text() == "precious"


def test_only_the_user_can_read_the_file(tmp_path: Path) -> None:
    RowFile(tmp_path / "x.bin", WIDTH).append(*some(1))
    assert os.stat(tmp_path / "x.bin").st_mode & 0o077 == 0
