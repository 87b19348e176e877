"""Fixtures shared by the tests: small sets of drawn images, real data where the environment names it."""

import io
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from PIL import Image
from rich.console import Console

from pets import console

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_port_is_left() -> Iterator[None]:
    """Forget the port of processes that a test spawned: two runs at once that a later test starts would share it."""
    yield
    os.environ.pop("MASTER_PORT", None)


@pytest.fixture(scope="session")
def tiny_pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flat folder of 3 breeds x 8 JPEGs, 40 to 64 px, whose colour tells the breed; never written to by a test."""
    root = tmp_path_factory.mktemp("tiny_pets")
    rng = np.random.default_rng(0)
    colours = {"Birman": (200, 60, 60), "great_pyrenees": (60, 200, 60), "pug": (60, 60, 200)}
    for breed, colour in colours.items():
        for number in range(8):
            height, width = rng.integers(40, 65, size=2)
            noise = rng.integers(-40, 40, size=(height, width, 3))
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / f"{breed}_{number}.jpg", quality=90)
    return root


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder that holds `data/pets37x10` and `weights/`, named by PETS_REAL_DATA."""
    folder = os.environ.get("PETS_REAL_DATA")
    if not folder:
        pytest.skip("PETS_REAL_DATA does not name a folder with data/pets37x10 and weights/")
    return Path(folder)


@pytest.fixture(scope="session")
def tiny_config(tiny_pets: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., DictConfig]:
    """A function of overrides that composes a run on `tiny_pets` with a random resnet18, in seconds on one thread.

    `epochs=None` leaves a recipe of phases as it is.
    """

    def compose_tiny(*overrides: str, epochs: int | None = 1) -> DictConfig:
        tiny = [
            "data=regex", f"data.root={tiny_pets}", "data.presize.size=40", "augment.size=32", "data.batch_size=8",
            "data.num_workers=0", "model=resnet18", "model.weights=null", "model.head.hidden=8",
            "trainer=cpu", f"run_dir={tmp_path_factory.mktemp('run')}",
            *([] if epochs is None else [f"recipe.epochs={epochs}"]),
        ]  # fmt: skip
        with initialize_config_dir(str(Path(__file__).parents[1] / "conf"), version_base="1.3"):
            return compose("config", overrides=[*tiny, *overrides])

    return compose_tiny


@pytest.fixture
def terminal_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Callable[[], list[str]]]]:
    """A function of a width that puts the live display on a terminal; it returns a function of all lines shown on it.

    Checks that no display stays behind.
    """
    bars = console._bars

    def watch(width: int) -> Callable[[], list[str]]:
        recorded = Console(width=width, file=io.StringIO(), record=True, force_terminal=True, legacy_windows=False)
        monkeypatch.setattr(console, "_bars", lambda _=None: bars(recorded))
        monkeypatch.setattr(console, "SECONDS", 0.0)

        def lines() -> list[str]:
            text = re.sub(r"\x1b\[[\d;]*m", "", recorded.file.getvalue())
            return [line.rstrip() for line in re.split(r"\r|\n|\x1b\[[?\d]*[A-Za-z]", text) if line.strip()]

        return lines

    yield watch
    assert console._display is None
