"""An archive of predictions from anybody is read as such arrays, or refused before it fills the memory."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pets.evaluation.predictions import Predictions

GOOD: dict[str, Any] = {
    "probabilities": np.array([[0.25, 0.75], [0.9, 0.1]], np.float32),
    "targets": np.array([0, 1]),
    "losses": np.array([1.4, 2.3], np.float32),
    "files": np.array(["a.jpg", "deep/b.jpg"]),
    "classes": np.array(["cat", "dog"]),
}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "NaN": ({"probabilities": np.array([[np.nan, 1], [1, 0]], np.float32)}, r"probabilities must be in \[0, 1\]"),
    "above 1": ({"probabilities": np.array([[2, 1], [1, 0]], np.float32)}, r"probabilities must be in \[0, 1\]"),
    "infinite": ({"losses": np.array([np.inf, 1], np.float32)}, "losses finite"),
    "doubles": ({"probabilities": GOOD["probabilities"].astype(np.float64)}, "probabilities are float64"),
    "short targets": ({"targets": np.array([0, 1], np.int8)}, "targets are int8"),
    "complex": ({"losses": np.zeros(2, np.complex64)}, "losses are complex64"),
    "flat": ({"probabilities": np.ones(2, np.float32)}, "cannot have the shapes"),
    "numbers for files": ({"files": np.array([1, 2])}, "files are int64"),
    "bytes for classes": ({"classes": np.array([b"cat", b"dog"])}, r"classes are \|S3"),
    "one class": ({"classes": np.array("cat")}, "classes are <U3 of 0 dimensions"),
    "absolute": ({"files": np.array(["/dev/zero", "b.jpg"])}, "the file /dev/zero lies outside"),
    "above": ({"files": np.array(["a.jpg", "x/../../b.jpg"])}, r"the file x/\.\./\.\./b\.jpg lies outside"),
    "empty": ({"files": np.array(["a.jpg", ""])}, "lies outside"),
    "other targets": ({"targets": np.array([0, -1])}, "targets must be 0 to 1"),
}


def test_what_they_are_changed_from_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "predictions.npz", **GOOD)
    assert Predictions.load(tmp_path).files.tolist() == ["a.jpg", "deep/b.jpg"]


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_values_are_refused(kind: str, tmp_path: Path) -> None:
    changes, says = WRONG[kind]
    np.savez(tmp_path / "predictions.npz", **GOOD | changes)
    with pytest.raises(ValueError, match=rf"predictions\.npz: cannot be read as predictions: .*{says}") as caught:
        Predictions.load(tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def header(shape: tuple[int, ...], dtype: str) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def test_an_archive_that_unpacks_to_far_more_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, n = tmp_path / "predictions.npz", 10**8
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("losses.npy", "w") as member:
        member.write(header((n,), "<f4"))
        for _ in range(4 * n // 10**7):
            member.write(bytes(10**7))
    assert path.stat().st_size < 10**6
    monkeypatch.setattr(np, "load", None)
    with pytest.raises(ValueError, match=r"\d bytes that unpack to 400,000,128"):
        Predictions.load(tmp_path)


@pytest.mark.parametrize(("shape", "dtype"), [((10**12,), "<f4"), ((2,), "<U1000000"), ((0,), "<f4")])
def test_a_header_that_tells_another_size_is_refused_unread(
    shape: tuple[int, ...], dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "predictions.npz", "w") as archive:
        archive.writestr("losses.npy", header(shape, dtype) + bytes(8))
    monkeypatch.setattr(np, "load", None)
    with pytest.raises(ValueError, match=r"losses\.npy says .*, which is not its size"):
        Predictions.load(tmp_path)
