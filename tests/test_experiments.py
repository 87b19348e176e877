"""The experiments of this project run as they are written, on a small set with random weights."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from pets.data.batch import Batch
from pets.model.classifier import Classifier
from pets.tasks import fit

Compose = Callable[..., DictConfig]


def assert_learns(cfg: DictConfig) -> None:
    assert cfg.model.head.init == "lda"
    error_rate = fit.run(cfg)
    metrics = json.loads((Path(cfg.run_dir) / "metrics.json").read_text())
    assert metrics["valid/error_rate"] == error_rate
    # Three breeds told apart by their colour: even a random body leaves the discriminant little to misjudge, as long as
    # augmentation, which random features do not see through, is off.
    assert error_rate <= 0.3


def test_few_shot_runs(tiny_config: Compose) -> None:
    assert_learns(tiny_config("experiment=few_shot", "augment=none", "data.split.valid_pct=0.3", epochs=None))


def test_best_runs_and_its_images_grow(tiny_config: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = tiny_config("experiment=best", "augment=none", "data.split.valid_pct=0.3", epochs=None)
    for phase in cfg.recipe.phases:
        phase.epochs = 1
        if phase.size == 224:
            phase.size = 24
    sizes: dict[int, set[int]] = {}
    original = Classifier.training_step

    def step(self: Classifier, batch: Batch, batch_idx: int) -> Any:
        sizes.setdefault(self.current_epoch, set()).add(batch.images.shape[-1])
        return original(self, batch, batch_idx)

    monkeypatch.setattr(Classifier, "training_step", step)
    assert_learns(cfg)
    assert sizes == {0: {24}, 1: {24}, 2: {cfg.augment.size}}
