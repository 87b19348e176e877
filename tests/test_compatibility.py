"""What docs/compatibility.md promises: files of version 0.1 are read."""

import json
from pathlib import Path

import torch

from pets import Predictor
from pets.deploy.metadata import Metadata
from pets.model.network import SPEC_SINCE_02
from tests.deploy.conftest import save_checkpoint

MODEL_JSON = """{
 "version": 1, "arch": "resnet18", "source": "torchvision", "weights": "IMAGENET1K_V1",
 "head": {"kind": "concat_pool", "hidden": 512, "dropout": 0.5, "normalize": false},
 "classes": ["Birman", "pug"], "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225],
 "loss": {"kind": "cross_entropy", "label_smoothing": 0.0, "class_weights": null}, "frozen_bn": "always",
 "presize": {"size": 460, "method": "crop", "interpolation": "bilinear"}, "size": 224,
 "interpolation": "bilinear, antialiased", "threshold": 0.25, "pets_version": "0.1.0"
}"""


def test_a_model_json_of_version_0_1_is_read() -> None:
    metadata = Metadata.from_values(json.loads(MODEL_JSON), "model.json")
    assert {key: metadata.spec[key] for key in SPEC_SINCE_02} == SPEC_SINCE_02
    assert metadata.classes == ("Birman", "pug")
    assert (metadata.size, metadata.presize.size, metadata.threshold) == (224, 460, 0.25)


def test_a_checkpoint_of_version_0_1_is_read(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "new.ckpt")
    content = torch.load(tmp_path / "new.ckpt", weights_only=True)
    content["PetsDataModule"] = content.pop("ImageDataModule")
    torch.save(content, tmp_path / "old.ckpt")
    photo = torch.randint(0, 256, (50, 60, 3), dtype=torch.uint8).numpy()
    old, new = (Predictor.load(tmp_path / name)(photo) for name in ("old.ckpt", "new.ckpt"))
    assert old.top == new.top
