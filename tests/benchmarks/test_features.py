"""The programs that share frozen features run from their command line to their results."""

import json
from pathlib import Path

import pytest
import timm
import torch

from benchmarks import held_out_breeds, leaks


@pytest.fixture
def backbone(tmp_path: Path) -> list[str]:
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "weights.pt")
    return ["--arch", "test_resnet", "--weights", str(tmp_path / "weights.pt"), "--out", str(tmp_path / "out")]


def test_held_out_breeds_runs(
    tiny_pets: Path, tmp_path: Path, backbone: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["held_out_breeds", "--images", str(tiny_pets), "--held-out", "1", "--seeds", "1", *backbone]
    monkeypatch.setattr("sys.argv", words)
    held_out_breeds.main()
    (result,) = json.loads((tmp_path / "out" / "results.json").read_text())
    shown = result["softmax"]["breeds"]
    assert (result["n_train"], shown["n_known"], shown["n_unknown"]) == (14, 2, 8)
    assert (tmp_path / "out" / "unknown.png").is_file()


def test_a_photograph_that_is_there_twice_leaks_across_a_random_split_only(
    tiny_pets: Path, tmp_path: Path, backbone: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in tiny_pets.glob("*.jpg"):
        folder = tmp_path / "photos" / file.stem.rsplit("_", 1)[0]
        folder.mkdir(parents=True, exist_ok=True)
        for copy in ("a", "b"):
            (folder / f"{file.stem}{copy}.jpg").write_bytes(file.read_bytes())
    words = ["leaks", "--images", str(tmp_path / "photos"), "--size", "32", "--seeds", "2", *backbone]
    for _ in range(2):  # the second time with the features that are kept
        monkeypatch.setattr("sys.argv", words)
        leaks.main()
    for result in json.loads((tmp_path / "out" / "results.json").read_text()):
        assert result["random"]["pairs_across"] > 0
        assert 0 < result["random"]["leaked"] <= result["random"]["n"]
        assert result["duplicates"]["pairs_across"] == 0
        assert set(result["duplicates"]) == {"pairs_across", "n", "error"}
