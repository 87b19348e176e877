from pathlib import Path

import numpy as np
import pytest

from benchmarks.images import ImageSet, find_images, paint_photograph, repeated, thinned


def test_a_drawing_is_decided_by_its_generator() -> None:
    first, again, other = (np.asarray(paint_photograph(np.random.default_rng(seed), 90, 70)) for seed in (1, 1, 2))
    assert first.shape == (70, 90, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_folder_goes_before_the_environment(tiny_pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PETS_REAL_DATA", str(tmp_path))
    images = find_images(tiny_pets, tmp_path)
    assert len(images.files) == 24
    assert str(tiny_pets) in images.described


def test_a_folder_without_photographs_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        find_images(tmp_path, tmp_path)


def test_links_repeat_or_thin_a_set_and_keep_the_breed(tiny_pets: Path, tmp_path: Path) -> None:
    images = find_images(tiny_pets, tmp_path)
    many = sorted(repeated(images, 3, tmp_path).iterdir())
    assert len(many) == 72
    assert {path.name.rpartition("_")[0] for path in many} == {"Birman", "great_pyrenees", "pug"}
    assert len(list(thinned(images, 5, tmp_path).iterdir())) == 5
    assert len(list(repeated(images, 3, tmp_path).iterdir())) == 72, "made once, used again"


def test_links_of_two_sets_do_not_mix(tiny_pets: Path, tmp_path: Path) -> None:
    images = find_images(tiny_pets, tmp_path)
    half = ImageSet(images.files[:12], "half")
    assert repeated(images, 1, tmp_path) != repeated(half, 1, tmp_path)
