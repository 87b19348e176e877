"""Random erasing: rectangles of the size that was asked for, the same pixels as torchvision's kernel."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as F

from pets.augment.erasing import RandomErasing

NUMBER = st.floats(0, 1, exclude_max=True, width=32)
NUMBERS = st.lists(NUMBER, min_size=5, max_size=5)


def numbers(n: int) -> torch.Tensor:
    return torch.rand(n, 5, generator=torch.Generator().manual_seed(0))


@given(NUMBERS)
def test_with_p_0_nothing_happens(values: list[float]) -> None:
    images = torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(1))
    assert torch.equal(RandomErasing(p=0)(images, torch.tensor([values])), images)


@given(NUMBERS, st.integers(8, 64))
def test_the_pixels_are_those_of_torchvisions_kernel(values: list[float], side: int) -> None:
    step, uniforms = RandomErasing(p=1, value=0.25), torch.tensor([values])
    images = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(1))
    top, left, height, width = (int(edge) for edge in step.rectangles(uniforms, side))
    assert 0 <= top <= top + height <= side
    assert 0 <= left <= left + width <= side
    erased = F.erase(images[0], top, left, height, width, torch.tensor(0.25))
    assert torch.equal(step(images, uniforms)[0], erased)


def test_areas_ratios_and_places_fill_their_ranges() -> None:
    side, step = 1000, RandomErasing(p=1)
    top, left, height, width = step.rectangles(numbers(4000), side)
    area = height * width / side**2
    assert area.min() == pytest.approx(0.02, abs=0.002)
    assert area.max() == pytest.approx(0.33, abs=0.002)
    assert area.mean() == pytest.approx(0.175, abs=0.005)
    ratio = (height / width).log()
    assert ratio.abs().max() <= torch.tensor(3.35).log()
    assert ratio.mean() == pytest.approx(0, abs=0.05)
    for first, extent in ((top, height), (left, width)):
        assert (first / (side - extent)).mean() == pytest.approx(0.5, abs=0.02)


def test_a_rectangle_of_any_allowed_area_fits() -> None:
    top, left, height, width = RandomErasing(p=1, min_area=1, max_area=1).rectangles(numbers(50), 33)
    assert (top == 0).all()
    assert (left == 0).all()
    assert (height == 33).all()
    assert (width == 33).all()


def test_it_happens_with_its_probability() -> None:
    _, _, height, _ = RandomErasing(p=0.3).rectangles(numbers(4000), 100)
    assert (height > 0).float().mean() == pytest.approx(0.3, abs=0.03)


def test_golden_values() -> None:
    edges = RandomErasing(p=1).rectangles(torch.tensor([[0.0, 0.5, 0.75, 0.5, 0.25], [0.9, 0.0, 0.0, 0.0, 0.99]]), 160)
    assert torch.stack(edges, dim=1).tolist() == [[35.0, 27.0, 90.0, 50.0], [0.0, 118.0, 12.0, 41.0]]


def test_it_neither_leaves_the_device_nor_waits_for_it() -> None:
    images, uniforms = torch.empty(2, 3, 8, 8, device="meta"), torch.empty(2, 5, device="meta")
    assert RandomErasing()(images, uniforms).shape == (2, 3, 8, 8)


def test_areas_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match=r"min_area=0\.5 is not allowed: at most max_area=0\.33$"):
        RandomErasing(min_area=0.5)
