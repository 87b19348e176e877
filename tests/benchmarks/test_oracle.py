import math

import numpy as np
import pytest
import torch

from benchmarks.oracle import View, inside, oracle, pixel_points, psnr, sample

WHOLE = View(canvas=460, left=0, top=0, side=460, zoom=1.0, zoom_x=0.5, zoom_y=0.5, degrees=0.0)
SIZE = 56


def _ramp(side: int) -> torch.Tensor:
    """Red grows by 1 a pixel to the right, green by 1 downwards; each pixel holds the value at its centre."""
    axis = torch.arange(side) + 0.5
    return torch.stack([axis.expand(side, side), axis[:, None].expand(side, side), torch.full((side, side), 7.0)])


def test_the_neutral_view_keeps_every_pixel() -> None:
    square = torch.randint(0, 256, (3, SIZE, SIZE), dtype=torch.uint8)
    torch.testing.assert_close(sample(square, WHOLE.mapping(SIZE, SIZE), SIZE, 1), square.float(), atol=0.01, rtol=0)


def test_the_oracle_of_a_ramp_is_the_mapped_position() -> None:
    view = View.draw(np.random.default_rng(0))
    mapping = view.mapping(200, SIZE)
    mask = inside(200, mapping, SIZE)
    expected = mapping(pixel_points(SIZE, 1)).permute(2, 0, 1).float()
    ideal = oracle(_ramp(200), mapping, SIZE)
    assert mask.float().mean() > 0.8
    torch.testing.assert_close(ideal[:2][:, mask], expected[:, mask], atol=0.02, rtol=0)
    torch.testing.assert_close(ideal[2], torch.full((SIZE, SIZE), 7.0), atol=1e-3, rtol=0)


def test_the_oracle_of_a_reduction_by_a_whole_factor_is_nearly_the_mean_of_the_pixels() -> None:
    square = torch.nn.functional.avg_pool2d(torch.rand(1, 3, 4 * 4 * SIZE, 4 * 4 * SIZE), 4)[0] * 255
    mean = torch.nn.functional.avg_pool2d(square, 4)
    ideal = oracle(square, WHOLE.mapping(4 * SIZE, SIZE), SIZE)
    assert (ideal - mean).abs()[:, 1:-1, 1:-1].max() < 3


def test_a_crop_shows_its_window() -> None:
    view = View(canvas=100, left=20, top=40, side=50, zoom=1.0, zoom_x=0.5, zoom_y=0.5, degrees=0.0)
    corners = torch.tensor([[0.0, 0.0], [SIZE, SIZE]]).double()
    expected = torch.tensor([[20.0, 40.0], [70.0, 90.0]]).double()
    torch.testing.assert_close(view.mapping(100, SIZE)(corners), expected)


def test_the_two_pixel_grids_agree_in_the_middle_and_differ_at_the_edge() -> None:
    middle, edge = torch.tensor([[SIZE / 2, SIZE / 2]]).double(), torch.tensor([[0.5, 0.5]]).double()
    ours, theirs = WHOLE.mapping(460, SIZE), WHOLE.corner_mapping(460, SIZE)
    torch.testing.assert_close(ours(middle), theirs(middle))
    torch.testing.assert_close(theirs(edge), torch.tensor([[0.5, 0.5]]).double())
    torch.testing.assert_close(ours(edge), torch.tensor([[0.5, 0.5]]).double() * 460 / SIZE)


def test_psnr_of_a_known_error() -> None:
    ideal = torch.full((3, 4, 4), 100.0)
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[0] = True
    image = ideal.clone()
    image[:, 0] += 10
    image[:, 1:] = 0
    assert psnr(image, ideal, mask) == pytest.approx(20 * math.log10(25.5))
