"""The experiments of this project run as they are written, on a small set with random weights."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from pets.tasks import fit


@pytest.mark.parametrize("name", ["few_shot", "best"])
def test_an_experiment_runs(name: str, tiny_config: Callable[..., DictConfig]) -> None:
    cfg = tiny_config(f"experiment={name}", "recipe.epochs=2", "data.split.valid_pct=0.3")
    assert cfg.model.head.init == "lda"
    error_rate = fit.run(cfg)
    metrics = json.loads((Path(cfg.run_dir) / "metrics.json").read_text())
    assert metrics["valid/error_rate"] == error_rate
    # Three breeds told apart by their colour: even a random body leaves the discriminant little to misjudge.
    assert error_rate <= 0.3
