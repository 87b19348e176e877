"""A checkpoint gives back the network that was trained, from plain values alone, or one line that says why not."""

from pathlib import Path

import pytest
import torch

from pets.model.checkpoint import read_checkpoint
from pets.model.classifier import Classifier
from pets.model.network import Network

TREATMENT = {
    "classes": ["a", "b"],
    "presize": {"size": 40, "method": "crop", "interpolation": "bilinear"},
    "size": 32,
    "interpolation": "bilinear, antialiased",
}


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, Network]:
    """A run folder whose last.ckpt holds a small classifier."""
    torch.manual_seed(0)
    network = Classifier("resnet18", classes=("a", "b"), weights=None, head={"kind": "linear"}).eval()
    content = {"state_dict": network.state_dict(), "pets": network.spec(), "ImageDataModule": TREATMENT}
    (tmp_path / "checkpoints").mkdir()
    torch.save(content, tmp_path / "checkpoints" / "last.ckpt")
    return tmp_path, network


@pytest.mark.parametrize("kind", [Network, Classifier])
def test_builds_the_trained_network(saved: tuple[Path, Network], kind: type[Network]) -> None:
    images = torch.rand(2, 3, 32, 32)
    rebuilt = read_checkpoint(saved[0] / "checkpoints" / "last.ckpt").build(kind)
    assert type(rebuilt) is kind
    assert not rebuilt.training
    with torch.no_grad():
        assert torch.equal(rebuilt(images), saved[1](images))


def test_a_run_folder_stands_for_its_final_weights(saved: tuple[Path, Network]) -> None:
    checkpoint = read_checkpoint(saved[0])
    assert checkpoint.path == saved[0] / "checkpoints" / "last.ckpt"
    assert checkpoint.data == TREATMENT


@pytest.mark.parametrize("name", ["nowhere.ckpt", "."])
def test_a_path_without_a_checkpoint(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^ckpt_path=.*(no such file|holds no checkpoints/last.ckpt)"):
        read_checkpoint(tmp_path / name)


def test_a_file_that_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "text.ckpt").write_text("not a checkpoint")
    with pytest.raises(ValueError, match=r"text.ckpt: cannot be read"):
        read_checkpoint(tmp_path / "text.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=r"other.ckpt: is not a checkpoint that task=fit wrote"):
        read_checkpoint(tmp_path / "other.ckpt")


def test_weights_of_another_network_are_refused(saved: tuple[Path, Network]) -> None:
    checkpoint = read_checkpoint(saved[0])
    with pytest.raises(ValueError, match=r"last.ckpt: the state dict does not fit the model: "):
        checkpoint._replace(weights={}).build(Network)
    with pytest.raises(ValueError, match=r"last.ckpt: model spec of version 0"):
        checkpoint._replace(spec=checkpoint.spec | {"version": 0}).build(Network)
