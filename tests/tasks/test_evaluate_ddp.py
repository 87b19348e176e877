"""Under several processes each image is counted once, and the run folder is the one of a single process."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from omegaconf import DictConfig

from pets.evaluation.predictions import Predictions
from pets.tasks import fit

TRAIN = Path(__file__).parents[2] / "train.py"


@pytest.mark.ddp
def test_two_processes_evaluate_as_one(tiny_config: Callable[..., DictConfig], tiny_pets: Path, tmp_path: Path) -> None:
    cfg = tiny_config("data.split.valid_pct=0.3", "data.batch_size=2", "recipe.freeze_epochs=0")
    fit.run(cfg)
    done = subprocess.run(
        [
            sys.executable, TRAIN, "task=evaluate", f"ckpt_path={cfg.run_dir}", "trainer=ddp_cpu",
            "data=regex", f"data.root={tiny_pets}", "data.split.valid_pct=0.3", "data.batch_size=2",
            "data.num_workers=0", "data.presize.size=40", "augment.size=32", f"hydra.run.dir={tmp_path}",
        ],
        cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("of 7 images wrong") == 1
    one, two = (Predictions.load(Path(folder) / "valid") for folder in (cfg.run_dir, tmp_path))
    assert len(two) == 7
    assert np.array_equal(one.files, two.files)
    assert np.allclose(one.probabilities, two.probabilities, atol=1e-5)
    metrics = [json.loads((Path(folder) / "metrics.json").read_text()) for folder in (cfg.run_dir, tmp_path)]
    assert metrics[0]["valid/error_rate"] == metrics[1]["valid/error_rate"]
