"""A detector is made of the training and the validation part; what it refuses has an interval."""

import pytest
import torch

from pets.evaluation.features import Features
from pets.evaluation.unknown import fit_detector, refused
from pets.model.unknown import UnknownDetector


def drawn(n: int, seed: int) -> Features:
    """Return random features of two classes."""
    generator = torch.Generator().manual_seed(seed)
    return Features(torch.rand(n, 4, generator=generator), torch.arange(n) % 2, torch.arange(n))


def test_it_learns_from_one_part_and_is_adjusted_by_the_other() -> None:
    valid = drawn(39, 1)
    detector = fit_detector(drawn(20, 0), valid, 2, 0.1)
    assert isinstance(detector, UnknownDetector)
    told = refused(detector, valid)
    assert (told["wanted"], told["refused"]) == (0.1, 3)  # one less than a tenth of 39 + 1
    assert told["share"]["value"] == pytest.approx(3 / 39)
    assert told["share"]["low"] < 3 / 39 < told["share"]["high"]


def test_too_few_images_are_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert fit_detector(drawn(20, 0), drawn(18, 1), 2, 0.05) is None
    assert "evaluate.false_alarms=0.05: 18 images are too few to choose a threshold" in caplog.text
