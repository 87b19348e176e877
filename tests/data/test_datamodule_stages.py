"""The data module under a Trainer: each stage gets its transform once, each epoch its own order and draws."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from pets.augment.batch import BatchTransform
from pets.data.batch import N_UNIFORMS, Batch
from pets.data.datamodule import ImageDataModule
from pets.data.labels import RegexLabeller
from pets.data.presize import Presize
from pets.data.sources.folder import ImageFolder
from pets.data.splits import SplitRule

FEW_WORKERS = pytest.mark.filterwarnings("ignore:.*does not have many workers")


def datamodule(root: Path, num_workers: int = 0, test_pct: float = 0.0) -> ImageDataModule:
    return ImageDataModule(
        ImageFolder(root),
        RegexLabeller(),
        SplitRule(valid_pct=0.3, test_pct=test_pct),
        Recorder(),
        presize=Presize(16),
        batch_size=4,
        num_workers=num_workers,
        seed=0,
    )


@dataclass
class Recorder:
    """Notes which transform is used; both refuse a batch that is not uint8 any more."""

    size: int = 8
    n_uniforms: int = N_UNIFORMS
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.transform = BatchTransform(size=self.size)

    def train(self, batch: Batch, n_classes: int | None = None) -> Batch:
        self.calls.append("train")
        return self.transform.train(batch, n_classes)

    def evaluate(self, batch: Batch) -> Batch:
        self.calls.append("evaluate")
        return self.transform.evaluate(batch)


class Probe(LightningModule):
    """Checks every batch that it is given and remembers the stage."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[tuple[str, list[int], bytes]] = []

    def check(self, batch: Batch, stage: str) -> Tensor:
        assert type(batch) is Batch
        assert batch.images.dtype == torch.float32
        assert batch.images.shape[1:] == (3, 8, 8)
        assert 0.2 < batch.images.amax() <= 1
        stage = "sanity" if self.trainer.sanity_checking else stage
        self.seen.append((stage, batch.indices.tolist(), batch.uniforms.numpy().tobytes()))
        return batch.images.mean() * self.weight

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self.check(batch, "train")

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.check(batch, "validate")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.check(batch, "test")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(folder: Path, **options: Any) -> Trainer:
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return Trainer(accelerator="cpu", default_root_dir=folder, **{**quiet, **options})


@FEW_WORKERS
def test_each_stage_gets_its_transform_exactly_once(tiny_pets: Path, tmp_path: Path) -> None:
    data = datamodule(tiny_pets, test_pct=0.2)
    calls = data.batch_transform.calls
    runs = {
        "fit": {"sanity": "evaluate", "train": "train", "validate": "evaluate"},
        "validate": {"validate": "evaluate"},
        "test": {"test": "evaluate"},
    }
    for run, expected in runs.items():
        probe = Probe()
        calls.clear()
        getattr(trainer(tmp_path, max_epochs=2), run)(probe, datamodule=data)
        stages = [stage for stage, _, _ in probe.seen]
        assert set(stages) == set(expected)
        assert [expected[stage] for stage in stages] == calls


@FEW_WORKERS
def test_a_fit_follows_the_epochs_with_any_number_of_workers(tiny_pets: Path, tmp_path: Path) -> None:
    loader = datamodule(tiny_pets).train_dataloader()
    alone = []
    for epoch in range(3):
        loader.sampler.set_epoch(epoch)
        alone += [(batch.indices.tolist(), batch.uniforms.numpy().tobytes()) for batch in loader]
    for num_workers in (0, 2):
        probe = Probe()
        data = datamodule(tiny_pets, num_workers=num_workers)
        trainer(tmp_path, max_epochs=3, num_sanity_val_steps=0).fit(probe, datamodule=data)
        assert [(indices, draws) for stage, indices, draws in probe.seen if stage == "train"] == alone


@FEW_WORKERS
@pytest.mark.filterwarnings("ignore:You requested to overfit")
def test_overfitting_a_batch_is_possible(tiny_pets: Path, tmp_path: Path) -> None:
    probe = Probe()
    trainer(tmp_path, max_epochs=2, overfit_batches=1).fit(probe, datamodule=datamodule(tiny_pets))
    batches = [seen for seen in probe.seen if seen[0] == "train"]
    assert len(batches) == 2
    assert batches[0] == batches[1]
