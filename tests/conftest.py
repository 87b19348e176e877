"""Fixtures shared by the tests: small sets of drawn images, real data where the environment names it."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

torch.set_num_threads(1)


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
