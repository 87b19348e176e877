"""A sweep of tiny jobs from the command line."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def train(tiny_pets: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A function that runs `python train.py` in `tmp_path`: one epoch of a small random network on tiny images."""
    tiny = [
        "data=regex", f"data.root={tiny_pets}", "data.presize.size=32", "data.batch_size=8", "augment.size=32",
        "model=resnet18", "model.weights=null", "recipe.freeze_epochs=0", "recipe.epochs=1", "trainer=cpu",
        "evaluate.at_end=false",
    ]  # fmt: skip

    def run(*arguments: str, multirun: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(ROOT / "train.py"), *["-m"] * multirun, *tiny, *arguments],
            cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run
