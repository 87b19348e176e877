"""A model comes back as it was trained, or is refused in one line; nothing in a file is executed or believed."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from pets.data.presize import Presize
from pets.deploy.artifact import build, read_artifact
from pets.deploy.metadata import Metadata
from pets.model.checkpoint import read_checkpoint
from pets.model.losses import CrossEntropy, OneVsRest
from pets.model.network import Network
from tests.deploy.conftest import SIZE, save_checkpoint

Alter = Callable[[str, Callable[[bytes], bytes]], Path]


def outputs(network: Network) -> torch.Tensor:
    images = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return network(images)


@pytest.mark.parametrize("loss", [CrossEntropy(0.1, [1.0, 2.0, 3.0]), OneVsRest()], ids=lambda loss: loss.kind)
def test_a_checkpoint_gives_the_trained_network(loss: torch.nn.Module, tmp_path: Path) -> None:
    trained = save_checkpoint(tmp_path / "best.ckpt", loss=loss)
    artifact = read_artifact(tmp_path / "best.ckpt")
    assert torch.equal(outputs(artifact.network), outputs(trained))
    assert type(artifact.network) is Network
    assert not artifact.network.training
    assert artifact.network.spec() == trained.spec() == artifact.metadata.spec


def test_run_folder_and_exported_folder_give_the_same_network(run_dir: Path, exported: Path) -> None:
    from_run, from_export = read_artifact(run_dir), read_artifact(exported)
    assert torch.equal(outputs(from_run.network), outputs(from_export.network))
    assert from_run.metadata == from_export.metadata
    assert (from_run.origin, from_export.origin) == (run_dir / "checkpoints" / "last.ckpt", exported)


def test_the_network_keeps_its_weights_when_the_file_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    save_checkpoint(path)
    network = read_artifact(path).network
    before = outputs(network)
    path.write_bytes(b"\0" * path.stat().st_size)
    assert torch.equal(outputs(network), before)


@pytest.mark.parametrize("arch", ["test_efficientnet", "test_vit3", "swin_tiny_patch4_window7_224"])
def test_values_that_are_in_no_state_dict_are_computed_anew(arch: str) -> None:
    pytest.importorskip("timm")
    torch.manual_seed(0)
    trained = Network(arch, classes=["a", "b"], weights=None, library="timm").eval()
    rebuilt = build(Metadata(trained.spec(), Presize(), 224), trained.state_dict(), "here")
    model: Any = trained.backbone.body.model
    side = model.pretrained_cfg["input_size"][1]
    images = torch.rand(1, 3, side, side)
    with torch.no_grad():
        assert torch.equal(rebuilt(images), trained(images))


def changed(**values: object) -> Callable[[bytes], bytes]:
    """Return a change of model.json."""
    return lambda data: json.dumps(json.loads(data) | values).encode()


def test_more_classes_than_outputs_are_refused(altered: Alter) -> None:
    folder = altered("model.json", changed(classes=["a", "b", "c", "d"]))
    with pytest.raises(ValueError, match=r"the tensor 'head.7.weight' is float32 \(3, 16\).* says float32 \(4, 16\)"):
        read_artifact(folder)


def test_a_huge_network_is_refused_before_it_takes_memory(altered: Alter) -> None:
    folder = altered("model.json", changed(arch="resnet152", head={"hidden": 16_384}))
    with pytest.raises(ValueError, match=r"the tensor .* is missing|the tensor .* the metadata says"):
        read_artifact(folder)


@pytest.mark.parametrize(
    "values",
    [
        {"arch": "hf-hub:someone/model", "source": "timm"},
        {"arch": "../resnet18"},
        {"arch": "os.system"},
        {"loss": {"kind": "cross_entropy", "module": 1}},
        {"loss": {"kind": "cross_entropy", "class_weights": [1.0]}},
        {"mean": [0.1, 0.2, 0.3]},
    ],
    ids=str,
)
def test_what_model_json_names_is_chosen_from_what_is_known(values: dict[str, object], altered: Alter) -> None:
    folder = altered("model.json", changed(**values))
    with pytest.raises(ValueError, match=str(folder)) as caught:
        read_artifact(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: b"\xff" * 8 + data[8:],
        lambda data: data[:8] + b"[" + data[9:],
        lambda data: pickle.dumps({"weights": [1, 2]}),
        lambda data: save({"other": torch.zeros(3)}),
        lambda data: save({name: tensor.double() for name, tensor in load(data).items()}),
        lambda data: save(load(data) | {"one.more": torch.zeros(1)}),
    ],
    ids=["empty", "half", "length", "header", "pickle", "others", "doubles", "one more"],
)
def test_other_weights_are_refused(change: Callable[[bytes], bytes], altered: Alter) -> None:
    folder = altered("model.safetensors", change)
    with pytest.raises(ValueError, match=str(folder)) as caught:
        read_artifact(folder)
    assert "\n" not in str(caught.value)


def test_of_an_exported_folder_only_two_files_are_opened(altered: Alter) -> None:
    folder = altered("model.pt2", lambda data: b"spoiled")
    (folder / "last.ckpt").write_bytes(pickle.dumps(print))
    assert read_artifact(folder).origin == folder


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return (eval, (f"open({str(self.path)!r}, 'w').close()",))


@pytest.mark.parametrize("place", ["state_dict", "pets", "ImageDataModule", "callbacks"])
def test_a_checkpoint_with_code_is_refused(place: str, run_dir: Path, tmp_path: Path) -> None:
    content = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)
    path = tmp_path / "last.ckpt"
    torch.save(content | {place: {"x": Bomb(tmp_path / "executed")}}, path)
    with pytest.raises(ValueError, match="cannot be read as a checkpoint of plain values"):
        read_artifact(path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("pets", None),
        ("pets", {"_target_": "os.system"}),
        ("ImageDataModule", []),
        ("ImageDataModule", {"classes": ["a", "b"]}),
        ("state_dict", {"head": "os.system"}),
        ("state_dict", {1: torch.zeros(1)}),
        ("state_dict", [1, 2]),
    ],
)
def test_a_checkpoint_with_other_contents_is_refused(place: str, value: object, run_dir: Path, tmp_path: Path) -> None:
    content = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)
    torch.save(content | {place: value}, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match=r"last.ckpt: "):
        read_artifact(tmp_path / "last.ckpt")


def test_tensors_of_another_kind_are_refused(run_dir: Path) -> None:
    artifact = read_artifact(run_dir)
    weights = read_checkpoint(run_dir).weights
    for strange in (torch.zeros(3, 1, 1, device="meta"), torch.zeros(3, 1, 1).to_sparse()):
        with pytest.raises(ValueError, match=r"^run: the tensor 'mean' is "):
            build(artifact.metadata, weights | {"mean": strange}, "run")


def test_nothing_is_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        read_artifact(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"holds no checkpoints/last.ckpt"):
        read_artifact(tmp_path)
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(ValueError, match=r"model.json: version is missing"):
        read_artifact(tmp_path)


def test_an_exported_folder_without_weights(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_bytes((exported / "model.json").read_bytes())
    with pytest.raises(ValueError, match=r"model.safetensors: cannot be read"):
        read_artifact(tmp_path)
