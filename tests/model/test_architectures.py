"""Architectures of timm from the first step to a prediction: trained frozen and unfrozen, resumed, exported, loaded."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Callback, LightningModule, Trainer

from pets.augment.batch import BatchTransform
from pets.callbacks.one_cycle import OneCycle
from pets.callbacks.step_seed import StepSeed
from pets.data.datamodule import ImageDataModule
from pets.data.labels import RegexLabeller
from pets.data.presize import Presize
from pets.data.sources.folder import ImageFolder
from pets.data.splits import SplitRule
from pets.deploy.artifact import read_artifact
from pets.deploy.export import export
from pets.deploy.predictor import Predictor
from pets.model.classifier import Classifier
from pets.schedule.recipe import Phase, one_cycle

pytest.importorskip("timm")

ARCHITECTURES: dict[str, tuple[int, int, dict[str, Any]]] = {
    "convnext_atto": (32, 48, {"drop_path": 0.1, "grad_checkpointing": True}),
    "convnextv2_atto": (32, 48, {"drop_path": 0.1}),
    "efficientnet_b0": (32, 48, {"drop_path": 0.1, "groups": 6}),
    "tf_efficientnet_lite0": (32, 48, {"groups": 18}),
    "mobilenetv3_small_050": (32, 48, {"drop_path": 0.1}),
    "mobilenetv4_conv_small_035": (32, 48, {"drop_path": 0.1}),
    "regnety_002": (32, 48, {"drop_path": 0.1}),
    "resnet18": (32, 48, {"drop_path": 0.1, "groups": 4}),
    "swin_tiny_patch4_window7_224": (32, 64, {"drop_path": 0.1, "groups": 13}),
    "swinv2_tiny_window8_256": (32, 64, {}),
    "deit_tiny_patch16_224": (32, 48, {}),
    "vit_tiny_patch16_224": (32, 48, {"drop_path": 0.1, "groups": 14, "grad_checkpointing": True}),
    "vit_pe_core_tiny_patch16_384": (32, 48, {}),
    "vit_small_patch14_dinov2": (28, 42, {"drop_path": 0.1}),
    "vit_small_patch16_dinov3": (32, 48, {}),
}
"""Side of the images of the first phase, side in evaluation, options. SigLIP pools as the smaller vit_pe_core_tiny."""


EXPORTED = ("convnext_atto", "mobilenetv3_small_050", "resnet18", "vit_tiny_patch16_224", "vit_small_patch16_dinov3")
"""One of each kind: torch.export takes seconds for each."""


class SaveEachEpoch(Callback):
    """Saves 0.ckpt, 1.ckpt, ...; unlike a ModelCheckpoint it need not be there again to resume."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.save_checkpoint(self.folder / f"{trainer.current_epoch}.ckpt")


class Run:
    """A run of two phases of an epoch of two steps; the second has larger images and everything learns."""

    def __init__(self, arch: str, photos: Path, folder: Path, seed: int) -> None:
        first, size, options = ARCHITECTURES[arch]
        torch.manual_seed(seed)
        self.data = ImageDataModule(
            ImageFolder(photos), RegexLabeller(), SplitRule(), BatchTransform(size=size), presize=Presize(64),
            batch_size=4, num_workers=0,
        )  # fmt: skip
        self.data.setup()
        recipe = one_cycle([Phase(1, True, 1e-3, size=first), Phase(1, False, (1e-5, 1e-3))])
        self.model = Classifier(
            arch, classes=self.data.vocab, weights=None, library="timm", head={"kind": "linear"}, **options
        )
        for phase in recipe.phases:
            self.model.backbone.check_size(phase.size or size, "size")
        self.trainer = Trainer(
            accelerator="cpu", max_epochs=2, limit_train_batches=2, limit_val_batches=1, logger=False,
            callbacks=[OneCycle(recipe), StepSeed(0), SaveEachEpoch(folder)], enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
            num_sanity_val_steps=0, default_root_dir=folder,
        )  # fmt: skip

    def fit(self, checkpoint: Path | None = None) -> dict[str, Any]:
        self.trainer.fit(self.model, self.data, ckpt_path=checkpoint, weights_only=True)
        return self.model.state_dict()


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_trains_resumes_exports_and_predicts(arch: str, tiny_pets: Path, tmp_path: Path) -> None:
    run = Run(arch, tiny_pets, tmp_path, seed=0)
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    trained = {name: value.clone() for name, value in run.fit().items()}
    frozen = torch.load(tmp_path / "0.ckpt", weights_only=True)["state_dict"]
    learned = [name for name, _ in run.model.named_parameters() if not torch.equal(frozen[name], before[name])]
    assert learned == ["head.2.weight", "head.2.bias"]
    assert sum(not torch.equal(trained[name], before[name]) for name in trained) > len(trained) / 2

    resumed = Run(arch, tiny_pets, tmp_path / "resumed", seed=1).fit(tmp_path / "0.ckpt")
    assert all(torch.equal(value, resumed[name]) for name, value in trained.items())

    photos = sorted(tiny_pets.glob("*.jpg"))[:3]
    expected = Predictor.load(tmp_path / "1.ckpt")(photos)
    assert all(0 < prediction.probability <= 1 for prediction in expected)
    if arch not in EXPORTED:
        return
    differences = export(read_artifact(tmp_path / "1.ckpt"), tmp_path / "exported", "card", onnx=False)
    assert differences["model.pt2"] <= 1e-5
    got = Predictor.load(tmp_path / "exported")(photos)
    assert all(np.array_equal(a.probabilities, b.probabilities) for a, b in zip(expected, got, strict=True))
