"""The exported resize is the evaluation's, bit for bit, and the program is the network with everything around it."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pets.augment.batch import evaluate_images
from pets.deploy.artifact import read_artifact
from pets.deploy.exportable import EXACT_REDUCTION, Exportable, resize_weights
from tests.deploy.conftest import SIDE, SIZE


def resized(images: torch.Tensor, size: int) -> torch.Tensor:
    """Resize as `Exportable` does."""
    weights, one = weights_of(images.shape[-1], size)
    exact = torch.float32 if images.shape[-1] <= EXACT_REDUCTION * size else torch.float64
    weights, one = weights.to(exact), one.to(exact)
    rows = torch.floor((images.to(exact) @ weights.T + one / 2) / one).clamp(0, 255)
    return torch.floor((weights @ rows + one / 2) / one).clamp(0, 255).float() / 255


def weights_of(given_side: int, wanted: int) -> tuple[torch.Tensor, torch.Tensor]:
    columns, rows = (torch.arange(side, dtype=torch.float64) for side in (given_side, wanted))
    return resize_weights(columns, rows.unsqueeze(1))


@settings(max_examples=40, deadline=None)
@given(given_side=st.integers(2, 300), wanted=st.integers(2, 120), seed=st.integers(0, 9))
def test_any_resize_equals_the_kernel_of_the_evaluation(given_side: int, wanted: int, seed: int) -> None:
    images = torch.randint(0, 256, (1, 3, given_side, given_side), dtype=torch.uint8,
                           generator=torch.Generator().manual_seed(seed))  # fmt: skip
    assert torch.equal(resized(images, wanted), evaluate_images(images, torch.tensor([float(given_side)]), wanted))


@pytest.mark.parametrize(
    ("given_side", "wanted"), [(460, 224), (512, 224), (256, 160), (128, 224), (224, 224), (2000, 3)]
)
def test_usual_and_extreme_sizes(given_side: int, wanted: int) -> None:
    images = torch.randint(0, 256, (1, 3, given_side, given_side), dtype=torch.uint8)
    assert torch.equal(resized(images, wanted), evaluate_images(images, torch.tensor([float(given_side)]), wanted))


def test_sums_stay_exact() -> None:
    for given_side in (*range(2, 73), *range(73, 1000, 37)):
        weights, one = weights_of(given_side, 24)
        largest = 255 * weights.sum(dim=1).max() + one / 2
        assert largest < (2**24 if given_side <= EXACT_REDUCTION * 24 else 2**53)
        assert math.log2(one) == int(math.log2(one))


def test_the_program_takes_bytes_and_gives_probabilities(run_dir: Path) -> None:
    artifact = read_artifact(run_dir)
    images = torch.randint(0, 256, (4, 3, SIDE, SIDE), dtype=torch.uint8)
    with torch.no_grad():
        probabilities = Exportable(artifact)(images)
        logits = artifact.network(evaluate_images(images, torch.full((4,), float(SIDE)), SIZE))
    assert torch.equal(probabilities, logits.softmax(dim=1))
    assert probabilities.sum(dim=1).tolist() == pytest.approx([1.0] * 4)
