"""TrivialAugment: the strengths and pixels of torchvision's wide space, colours only."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close
from torchvision.transforms import v2

from pets.augment.trivial import OPERATIONS, STRENGTHS, TrivialAugment

NAMES = list(OPERATIONS)
THEIRS = dict(zip(OPERATIONS, v2.TrivialAugmentWide._AUGMENTATION_SPACE, strict=True))
COLOURS = [name for name, operation in OPERATIONS.items() if operation]
IMAGES = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def draw(name: str, level: int, sign: float) -> torch.Tensor:
    """Uniform numbers that choose an operation and a strength for each of IMAGES."""
    return torch.tensor([(NAMES.index(name) + 0.5) / len(NAMES), (level + 0.5) / STRENGTHS, sign]).expand(3, 3)


@pytest.mark.parametrize("sign", [0.2, 0.7])
@pytest.mark.parametrize("level", [0, 1, 17, 30])
@pytest.mark.parametrize("name", COLOURS)
def test_pixels_are_those_of_torchvisions_class(name: str, level: int, sign: float) -> None:
    theirs = v2.TrivialAugmentWide()
    strengths, signed = theirs._AUGMENTATION_SPACE[THEIRS[name]]
    values = strengths(STRENGTHS, 16, 16)
    strength = 0.0 if values is None else float(values[level]) * (-1 if signed and sign < 0.5 else 1)
    ours = TrivialAugment()(IMAGES, draw(name, level, sign))
    for image, changed in zip(IMAGES, ours, strict=True):
        expected = theirs._apply_image_or_video_transform(image, THEIRS[name], strength, theirs.interpolation, {})
        assert_close(changed, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in COLOURS])
def test_geometry_and_identity_leave_every_pixel(name: str) -> None:
    assert torch.equal(TrivialAugment()(IMAGES, draw(name, 30, 0.9)), IMAGES)


@given(st.lists(st.floats(0, 1, exclude_max=True, width=32), min_size=9, max_size=9))
def test_images_stay_in_range_and_are_changed_one_by_one(values: list[float]) -> None:
    uniforms = torch.tensor(values).view(3, 3)
    images = TrivialAugment()(IMAGES, uniforms)
    assert (images.shape, images.dtype) == (IMAGES.shape, torch.float32)
    assert 0 <= images.min() <= images.max() <= 1
    assert all(torch.equal(TrivialAugment()(IMAGES[i : i + 1], uniforms[i : i + 1])[0], images[i]) for i in range(3))
