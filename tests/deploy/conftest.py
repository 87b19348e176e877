"""A small trained network, as the checkpoint of a run and as an exported folder."""

import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from pets.data.presize import Presize
from pets.deploy.artifact import read_artifact
from pets.deploy.export import export, missing_for_onnx
from pets.deploy.model_card import model_card
from pets.model.classifier import Classifier
from pets.model.unknown import UnknownDetector
from pets.runs.run_folder import RunFolder

SIDE, SIZE = 64, 48
BREEDS = ("Birman", "great_pyrenees", "pug")

requires_onnx = pytest.mark.skipif(bool(missing_for_onnx()), reason="needs the extra onnx")


def save_checkpoint(
    path: Path, arch: str = "resnet18", *, presize: Presize | None = None, **options: Any
) -> Classifier:
    """Train a network for three steps on noise, save it as a fit does, and return it in evaluation mode."""
    torch.manual_seed(0)
    options = {"classes": BREEDS, "weights": None, "head": {"hidden": 16}, **options}
    classifier = Classifier(arch, **options)
    optimizer = torch.optim.SGD(classifier.parameters(), lr=0.01)
    for _ in range(3):
        loss = classifier.loss(classifier(torch.rand(4, 3, SIZE, SIZE)), torch.tensor([0, 1, 2, 1]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    data = {
        "classes": list(classifier.classes),
        "presize": asdict(presize or Presize(SIDE)),
        "size": SIZE,
        "interpolation": "bilinear, antialiased",
    }
    checkpoint: dict[str, Any] = {"state_dict": classifier.state_dict(), "ImageDataModule": data}
    classifier.on_save_checkpoint(checkpoint)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint, path)
    return classifier.eval()


def export_folder(checkpoint: Path, folder: Path, *, onnx: bool = False) -> Path:
    """Export a checkpoint with a card that quotes no run."""
    artifact = read_artifact(checkpoint)
    card = model_card(artifact.metadata, metrics=None, config=None, licence=None, onnx=onnx)
    export(artifact, folder, card, onnx=onnx)
    return folder


def leave_detector(run_dir: Path, classifier: Classifier) -> Path:
    """Leave the detector of unknown images in a run folder, as an evaluation does, made of random features."""
    features = torch.rand(30, 16, generator=torch.Generator().manual_seed(0))
    detector = UnknownDetector.fit(features[:12], torch.arange(12) % 3, features[12:], 3, 0.25)
    path = RunFolder(run_dir).unknown
    detector.save(path, classifier.state_dict())
    return path


@pytest.fixture(scope="session")
def wary_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a final checkpoint and a detector of unknown images; never written to by a test."""
    folder = tmp_path_factory.mktemp("wary")
    leave_detector(folder, save_checkpoint(folder / "checkpoints" / "last.ckpt"))
    return folder


@pytest.fixture(scope="session")
def wary(wary_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported folder of that run, with an ONNX file where one can be made; never written to by a test."""
    folder = tmp_path_factory.mktemp("wary_export") / "model"
    return export_folder(wary_run / "checkpoints" / "last.ckpt", folder, onnx=not missing_for_onnx())


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a final checkpoint; never written to by a test."""
    folder = tmp_path_factory.mktemp("run")
    save_checkpoint(folder / "checkpoints" / "last.ckpt")
    return folder


@pytest.fixture(scope="session")
def exported(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported folder of that run, with an ONNX file where one can be made; never written to by a test."""
    return export_folder(
        run_dir / "checkpoints" / "last.ckpt",
        tmp_path_factory.mktemp("exported") / "model",
        onnx=not missing_for_onnx(),
    )


@pytest.fixture
def altered(exported: Path, tmp_path: Path) -> Callable[[str, Callable[[bytes], bytes]], Path]:
    """Returns a folder like the exported one, of links, in which one file has other bytes."""

    def alter(name: str, change: Callable[[bytes], bytes]) -> Path:
        for path in exported.iterdir():
            os.symlink(path, tmp_path / path.name)
        (tmp_path / name).unlink()
        (tmp_path / name).write_bytes(change((exported / name).read_bytes()))
        return tmp_path

    return alter
