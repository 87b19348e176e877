"""Geometry: how it is composed, and that one sampling equals the transforms done one after the other."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from pets.augment.geometry import Geometry, homography, perspective, resample, sample_params
from pets.data.batch import N_UNIFORMS

DEFAULT = {"min_scale": 0.75, "p_flip": 0.5, "max_rotate": 10.0, "max_zoom": 1.1, "max_warp": 0.2, "p_affine": 0.75}


def uniforms(n: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, N_UNIFORMS, generator=torch.Generator().manual_seed(seed))


def noise(n: int, side: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def full(images: torch.Tensor) -> torch.Tensor:
    return torch.full((len(images),), float(images.shape[-1]))


def parameters(n: int = 1, **values: float) -> Geometry:
    neutral = dict.fromkeys(Geometry._fields, 0.0) | {"window": 1.0, "flip": 1.0, "zoom": 1.0} | values
    return Geometry(**{name: torch.full((n,), value) for name, value in neutral.items()})


def transformed(images: torch.Tensor, size: int, **values: float) -> torch.Tensor:
    return resample(images, full(images), homography(parameters(len(images), **values)), size)


# --- how it is composed


def solved_perspective(x: float, y: float) -> np.ndarray:
    """fastai's find_coeffs: the eight equations of the four corners, solved."""
    corners = [(-1, -1), (-1, 1), (1, -1), (1, 1)]
    targets = [(-1 - y, -1 - x), (-1 + y, 1 + x), (1 + y, -1 + x), (1 - y, 1 - x)]
    rows, right = [], []
    for (u, v), (tx, ty) in zip(corners, targets, strict=True):
        rows += [[tx, ty, 1, 0, 0, 0, -u * tx, -u * ty], [0, 0, 0, tx, ty, 1, -v * tx, -v * ty]]
        right += [u, v]
    return np.append(np.linalg.solve(np.array(rows, dtype=float), np.array(right, dtype=float)), 1).reshape(3, 3)


@given(x=st.floats(-0.3, 0.3), y=st.floats(-0.3, 0.3))
def test_perspective_solves_the_equations_of_the_corners(x: float, y: float) -> None:
    closed = perspective(torch.tensor([x]), torch.tensor([y]))[0]
    np.testing.assert_allclose(closed.numpy(), solved_perspective(x, y), atol=1e-5)


@given(st.lists(st.floats(0, 1, exclude_max=True, width=32), min_size=N_UNIFORMS, max_size=N_UNIFORMS))
def test_homography_keeps_the_square_in_front_of_the_horizon(numbers: list[float]) -> None:
    wildest = {"min_scale": 0.01, "p_flip": 0.5, "max_rotate": 180, "max_zoom": 2.0, "max_warp": 0.3, "p_affine": 1.0}
    g = sample_params(torch.tensor([numbers]), **wildest)
    matrix = homography(g)[0]
    corners = torch.tensor([[-1.0, -1, 1], [-1, 1, 1], [1, -1, 1], [1, 1, 1], [0, 0, 1]]).T
    assert (matrix[2] @ corners).min() > 0.1
    assert torch.linalg.det(matrix).sign() == g.flip[0]


@given(st.lists(st.floats(0, 1, exclude_max=True, width=32), min_size=N_UNIFORMS, max_size=N_UNIFORMS))
def test_crop_and_zoom_stay_inside_the_square(numbers: list[float]) -> None:
    row = torch.tensor([numbers])
    g = sample_params(row, min_scale=0.1, p_flip=0.5, max_rotate=0.0, max_zoom=3.0, max_warp=0.0, p_affine=1.0)
    corners = torch.tensor([[-1.0, -1, 1], [-1, 1, 1], [1, -1, 1], [1, 1, 1]]).T
    assert (homography(g)[0] @ corners).abs().max() <= 1 + 1e-5


# --- what is read


def test_neutral_parameters_give_the_image() -> None:
    images = noise(2, 64)
    assert torch.equal(transformed(images, 64), images / 255)


def test_neutral_parameters_give_the_image_at_a_side_that_float32_cannot_place_exactly() -> None:
    images = noise(2, 230)
    torch.testing.assert_close(transformed(images, 230), images / 255, atol=5e-5, rtol=0)


def test_flip_is_exact() -> None:
    images = noise(2, 64)
    assert torch.equal(transformed(images, 64, flip=-1.0), images.flip(-1) / 255)


@pytest.mark.parametrize("quarters", [-1, 1, 2])
def test_quarter_turns_are_clockwise_and_exact(quarters: int) -> None:
    images = noise(2, 64)
    turned = transformed(images, 64, angle=quarters * math.pi / 2)
    torch.testing.assert_close(turned, torch.rot90(images, -quarters, dims=(-2, -1)) / 255, atol=5e-5, rtol=0)


def test_integral_crop_is_a_slice() -> None:
    images = noise(2, 64)
    cropped = transformed(images, 32, window=0.5, window_x=24 / 32, window_y=8 / 32)
    torch.testing.assert_close(cropped, images[:, :, 8:40, 24:56] / 255, atol=1e-5, rtol=0)


def test_zoom_magnifies_the_part_it_names() -> None:
    images = noise(2, 64)
    zoomed = transformed(images, 32, zoom=2.0, zoom_x=1.0, zoom_y=0.5)
    torch.testing.assert_close(zoomed, images[:, :, 16:48, 32:] / 255, atol=1e-5, rtol=0)


def test_warp_shrinks_the_right_and_the_lower_edge() -> None:
    bright_right = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    bright_right[:, :, 16:48, 48:] = 255
    tall = transformed(bright_right, 64, warp_x=-0.2)[0, 0, :, -4].sum()
    short = transformed(bright_right, 64, warp_x=0.2)[0, 0, :, -4].sum()
    assert short < 28 < 36 < tall
    bright_below = bright_right.transpose(-1, -2)
    assert transformed(bright_below, 64, warp_y=0.2)[0, 0, -4].sum() == pytest.approx(short.item(), abs=1e-3)


def test_reduction_beyond_two_is_read_at_more_points() -> None:
    images = noise(2, 64)
    torch.testing.assert_close(transformed(images, 16), F.avg_pool2d(images.float(), 4) / 255, atol=1e-5, rtol=0)


def test_supersampling_averages_points() -> None:
    images = noise(2, 64)
    matrices = homography(sample_params(uniforms(2), **DEFAULT))
    fine = resample(images, full(images), matrices, 96)
    double = resample(images, full(images), matrices, 48, supersample=2)
    torch.testing.assert_close(double, F.avg_pool2d(fine, 2), atol=1e-6, rtol=0)


# --- one sampling equals the transforms one after the other


def mirrored(position: float, side: int) -> float:
    """Reflect a pixel position about the outer edges, -0.5 and side - 0.5, then keep it on the pixels."""
    folded = (position + 0.5) % (2 * side)
    return min(max(min(folded, 2 * side - folded) - 0.5, 0.0), side - 1.0)


def step_by_step(image: np.ndarray, g: dict[str, float], size: int) -> np.ndarray:
    """Follow every output pixel back to the input, in float64: crop, zoom, rotate, flip, warp, mirror, interpolate."""
    side = image.shape[-1]
    warp = solved_perspective(g["warp_x"], g["warp_y"])
    out = np.empty((3, size, size))
    for row in range(size):
        for column in range(size):
            x, y = (2 * column + 1) / size - 1, (2 * row + 1) / size - 1
            x = g["window"] * x + (1 - g["window"]) * (2 * g["window_x"] - 1)
            y = g["window"] * y + (1 - g["window"]) * (2 * g["window_y"] - 1)
            x = x / g["zoom"] + (1 - 1 / g["zoom"]) * (2 * g["zoom_x"] - 1)
            y = y / g["zoom"] + (1 - 1 / g["zoom"]) * (2 * g["zoom_y"] - 1)
            cos, sin = math.cos(g["angle"]), math.sin(g["angle"])
            x, y = cos * x + sin * y, -sin * x + cos * y
            x = g["flip"] * x
            u, v, w = warp @ (x, y, 1)
            column_in, row_in = (mirrored((c / w + 1) * side / 2 - 0.5, side) for c in (u, v))
            left, top = int(column_in), int(row_in)
            right, bottom = min(left + 1, side - 1), min(top + 1, side - 1)
            across, down = column_in - left, row_in - top
            upper = image[:, top, left] * (1 - across) + image[:, top, right] * across
            lower = image[:, bottom, left] * (1 - across) + image[:, bottom, right] * across
            out[:, row, column] = upper * (1 - down) + lower * down
    return out / 255


@pytest.mark.parametrize("side", [33, 48])
def test_one_sampling_equals_the_steps_one_after_the_other(side: int) -> None:
    wild = {"min_scale": 0.35, "p_flip": 0.5, "max_rotate": 40.0, "max_zoom": 1.3, "max_warp": 0.3, "p_affine": 1.0}
    canvas = noise(4, 48)
    g = sample_params(uniforms(4), **wild)
    sampled = resample(canvas, torch.full((4,), float(side)), homography(g), 24)
    for i in range(4):
        values = {name: float(column[i]) for name, column in g._asdict().items()}
        expected = step_by_step(canvas[i, :, :side, :side].numpy().astype(float), values, 24)
        np.testing.assert_allclose(sampled[i].numpy(), expected, atol=2e-4)


@pytest.mark.parametrize("side", [1, 17, 47])
def test_nothing_outside_the_valid_square_is_read(side: int) -> None:
    wild = {"min_scale": 0.75, "p_flip": 0.5, "max_rotate": 180.0, "max_zoom": 1.1, "max_warp": 0.3, "p_affine": 1.0}
    canvas = noise(32, 48)
    white = torch.full_like(canvas, 255)
    white[:, :, :side, :side] = canvas[:, :, :side, :side]
    black = torch.zeros_like(canvas)
    black[:, :, :side, :side] = canvas[:, :, :side, :side]
    sides, matrices = torch.full((32,), float(side)), homography(sample_params(uniforms(32), **wild))
    assert torch.equal(resample(white, sides, matrices, 24), resample(black, sides, matrices, 24))


def test_memory_format_does_not_matter() -> None:
    images = noise(2, 48)
    matrices = homography(sample_params(uniforms(2), **DEFAULT))
    interleaved = images.contiguous(memory_format=torch.channels_last)
    read, expected = (resample(pixels, full(images), matrices, 32) for pixels in (interleaved, images))
    torch.testing.assert_close(read, expected, atol=1e-6, rtol=0)
