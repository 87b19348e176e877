import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pets.model.weights import load_strictly, read_state_dict


class _Bomb:
    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return (Path.touch, (Path("exploded"),))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_state_dict_is_read_back(tmp_path: Path, suffix: str) -> None:
    state = {"weight": torch.arange(6.0).view(2, 3)}
    path = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(state, path)
    assert torch.equal(read_state_dict(path)["weight"], state["weight"])


@pytest.mark.parametrize("content", [b"", b"\x80", b"not a checkpoint at all", b"PK\x03\x04" + bytes(40)])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_damaged_file_is_a_one_line_error_that_names_it(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="weights") as caught:
        read_state_dict(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": _Bomb()}, "zip.pt")
    Path("plain.pt").write_bytes(pickle.dumps({"weight": _Bomb()}))
    for name in ("zip.pt", "plain.pt"):
        with pytest.raises(ValueError, match=name):
            read_state_dict(Path(name))
    assert not Path("exploded").exists()


def test_something_else_than_named_tensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "epoch.pt"
    torch.save({"epoch": 3, "state_dict": {}}, path)
    with pytest.raises(ValueError, match="mapping of names to tensors"):
        read_state_dict(path)


def test_loading_is_strict_and_names_the_first_keys() -> None:
    state = nn.Linear(3, 2).state_dict() | {"fc.weight": torch.zeros(1)}
    load_strictly(nn.Linear(3, 2), state, "origin", drop=("fc",))
    with pytest.raises(ValueError, match=r"origin: .*1 unexpected: fc\.weight"):
        load_strictly(nn.Linear(3, 2), state, "origin")
    with pytest.raises(ValueError, match=r"1 missing: bias; 1 of another shape: weight \(2, 3\) instead of \(2, 4\)"):
        load_strictly(nn.Linear(4, 2), {"weight": torch.zeros(2, 3)}, "origin")
    with pytest.raises(ValueError, match=r"4 missing: weight, bias, running_mean, \.\.\.$"):
        load_strictly(nn.BatchNorm2d(2), {}, "origin")


def test_counters_that_older_files_lack_may_be_absent() -> None:
    source, target = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
    assert source.running_mean is not None
    source.running_mean += 3
    state = {key: value for key, value in source.state_dict().items() if key != "num_batches_tracked"}
    load_strictly(target, state, "origin")
    assert target.running_mean is not None
    assert torch.equal(target.running_mean, source.running_mean)
    assert target.num_batches_tracked == 0
