"""An exported folder is whole or not there, holds no pickle, and predicts the same by each of its files."""

import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from pets import Predictor
from pets.augment.batch import evaluate_images
from pets.data.presize import Presize
from pets.deploy import export as module
from pets.deploy.artifact import read_artifact
from pets.deploy.export import TOLERANCE, export, missing_for_onnx
from pets.deploy.predictor import square
from tests.deploy.conftest import SIZE, export_folder, save_checkpoint

FILES = {"README.md", "model.json", "model.pt2", "model.safetensors", "predict.py"}
PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def test_the_folder_is_complete(exported: Path) -> None:
    onnx = set() if missing_for_onnx() else {"model.onnx"}
    assert {path.name for path in exported.iterdir()} == FILES | onnx
    assert [path.name for path in exported.parent.iterdir()] == [exported.name]


def test_no_file_holds_pickled_objects(exported: Path) -> None:
    with zipfile.ZipFile(exported / "model.pt2") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for name, data in members.items():
        assert not name.endswith(".pkl")
        assert not data.startswith(b"PK"), name
        if "/weights/weight_" not in name and "/constants/" not in name:
            assert not data.startswith(PICKLES), name
    assert not zipfile.is_zipfile(exported / "model.safetensors")


def test_an_existing_folder_is_never_touched(exported: Path, tmp_path: Path) -> None:
    artifact = read_artifact(exported)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"^export.folder=.* exists and is never overwritten"):
        export(artifact, tmp_path, "card", onnx=False)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_interrupted_export_leaves_nothing(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "export_program", interrupt)
    with pytest.raises(KeyboardInterrupt):
        export(read_artifact(exported), tmp_path / "model", "card", onnx=False)
    assert list(tmp_path.iterdir()) == []


def test_files_that_predict_something_else_are_not_shipped(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_program_runner", lambda path: lambda images: (torch.full((3, 3), 1 / 3),))
    with pytest.raises(ValueError, match=r"^model.pt2 differs from the network by "):
        export(read_artifact(exported), tmp_path / "model", "card", onnx=False)
    assert list(tmp_path.iterdir()) == []


def test_an_architecture_that_cannot_be_traced_is_named(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = read_artifact(exported)
    monkeypatch.setattr(artifact.network, "feature_map", lambda images: images.numpy())
    with pytest.raises(ValueError, match=r"^model.arch=resnet18: torch.export cannot express it: "):
        module.export_program(artifact)


def compare(checkpoint: Path, folder: Path, photos: list[Path]) -> None:
    """Assert that the checkpoint, the exported folder, the program and the ONNX file give the same probabilities."""
    predictor = Predictor.load(checkpoint)
    wanted = np.stack([prediction.probabilities for prediction in predictor(photos)])
    # One image a batch: natively presized squares have sides of their own.
    images = [
        canvas[None, :, :side, :side]
        for canvas, side in map(partial(square, presize=predictor.metadata.presize), photos)
    ]
    program = torch.export.load(folder / "model.pt2").module()
    found = {
        "folder": np.stack([prediction.probabilities for prediction in Predictor.load(folder)(photos)]),
        "program": np.concatenate([program(image).detach().numpy() for image in images]),
    }
    if not missing_for_onnx():
        import onnxruntime

        session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
        found["onnx"] = np.concatenate(
            [session.run(["probabilities"], {"images": image.numpy()})[0] for image in images]
        )
    for name, given in found.items():
        assert np.abs(given - wanted).max() < TOLERANCE, name
    assert np.ptp(wanted, axis=0).max() > 1e-3  # the photographs are told apart at all


def test_every_form_agrees(run_dir: Path, exported: Path, tiny_pets: Path) -> None:
    compare(run_dir, exported, sorted(tiny_pets.glob("*.jpg"))[::5])


def test_every_form_agrees_on_squares_of_many_sides(tmp_path: Path, tiny_pets: Path) -> None:
    save_checkpoint(tmp_path / "last.ckpt", presize=Presize(56, "native"))
    folder = export_folder(tmp_path / "last.ckpt", tmp_path / "model", onnx=not missing_for_onnx())
    photos = sorted(tiny_pets.glob("*.jpg"))[::3]
    assert len({square(photo, Presize(56, "native"))[1] for photo in photos}) > 4
    compare(tmp_path / "last.ckpt", folder, photos)


def test_an_exported_program_takes_a_batch_of_any_side(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "last.ckpt", presize=Presize(200, "native"))  # more than 3 times the network's side
    artifact = read_artifact(tmp_path / "last.ckpt")
    program = module.export_program(artifact).module()
    for side in (2, 3, 48, 111, 200):
        images = module._noise(side, 3)
        with torch.no_grad():
            logits = artifact.network(evaluate_images(images, torch.full((3,), float(side)), SIZE))
        torch.testing.assert_close(program(images), logits.softmax(dim=1), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("arch", ["resnet18", "tf_efficientnet_lite0"])
def test_every_form_agrees_on_photographs(arch: str, real_data: Path, tmp_path: Path) -> None:
    options: dict[str, object] = {"head": {"kind": "linear"}}
    if arch != "resnet18":
        pytest.importorskip("timm")
        options |= {"library": "timm", "weights": str(real_data / "weights" / f"{arch}.pt")}
    save_checkpoint(tmp_path / "last.ckpt", arch, presize=Presize(96), **options)
    folder = export_folder(tmp_path / "last.ckpt", tmp_path / "model", onnx=not missing_for_onnx())
    photos = sorted((real_data / "data" / "pets37x10").rglob("*.jpg"))[::40]
    assert len(photos) > 5
    compare(tmp_path / "last.ckpt", folder, photos)
