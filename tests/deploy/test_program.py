"""The exported resize is the evaluation's, bit for bit, and the program is the network with everything around it."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pets.augment.batch import evaluate_images
from pets.deploy.bundle import read_bundle
from pets.deploy.program import Program, resize_weights
from tests.deploy.conftest import SIDE, SIZE


def resized(images: torch.Tensor, size: int) -> torch.Tensor:
    """Resize as `Program` does."""
    weights, bits = resize_weights(images.shape[-1], size)
    matrix, one = torch.from_numpy(weights), 1 << bits
    rows = torch.floor((images.to(matrix.dtype) @ matrix.T + one / 2) / one).clamp(0, 255)
    return torch.floor((matrix @ rows + one / 2) / one).clamp(0, 255).float() / 255


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
    for given_side in range(2, 1000, 37):
        weights, _ = resize_weights(given_side, 24)
        exact = 2**24 if weights.dtype == "float32" else 2**53
        assert weights.sum(axis=1).max() * 255 < exact


def test_the_program_takes_bytes_and_gives_probabilities(run_dir: Path) -> None:
    bundle = read_bundle(run_dir)
    images = torch.randint(0, 256, (4, 3, SIDE, SIDE), dtype=torch.uint8)
    with torch.no_grad():
        probabilities = Program(bundle)(images)
        logits = bundle.network(evaluate_images(images, torch.full((4,), float(SIDE)), SIZE))
    assert torch.equal(probabilities, logits.softmax(dim=1))
    assert probabilities.sum(dim=1).tolist() == pytest.approx([1.0] * 4)
