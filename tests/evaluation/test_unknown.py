"""A detector is made of the training and the validation part; what it refuses has an interval."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pets.evaluation.unknown import fit_detector, refused
from pets.model.unknown import UnknownDetector


def store(n_valid: int) -> Any:
    """Return a store of random features of two classes."""
    generator = torch.Generator().manual_seed(0)
    parts = {
        part: SimpleNamespace(values=torch.rand(n, 4, generator=generator), targets=torch.arange(n) % 2)
        for part, n in (("train", 20), ("valid", n_valid))
    }
    return SimpleNamespace(features=parts.__getitem__)


def test_it_learns_from_one_part_and_is_adjusted_by_the_other() -> None:
    features = store(39)
    detector = fit_detector(features, 2, 0.1)
    assert isinstance(detector, UnknownDetector)
    told = refused(detector, features.features("valid").values)
    assert (told["wanted"], told["refused"]) == (0.1, 3)  # one less than a tenth of 39 + 1
    assert told["share"]["value"] == pytest.approx(3 / 39)
    assert told["share"]["low"] < 3 / 39 < told["share"]["high"]


def test_too_few_images_are_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert fit_detector(store(18), 2, 0.05) is None
    assert "evaluate.false_alarms=0.05: 18 images are too few to choose a threshold" in caplog.text
