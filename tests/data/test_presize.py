"""Presize: which pixels it keeps, how it places them, and how it resizes them."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from pets.data.presize import Presize
from pets.settings.data import INTERPOLATIONS, METHODS, Interpolation, PresizeMethod


def ramp(height: int, width: int) -> Tensor:
    """Column number in channel 0, row number in channel 1."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([columns, rows, torch.zeros_like(rows)]).to(torch.uint8)


def noise(height: int, width: int) -> Tensor:
    """As a decoder returns it: the colours of a pixel lie together."""
    generator = torch.Generator().manual_seed(height * 100 + width)
    return torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, generator=generator).permute(2, 0, 1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(30, 50), (50, 30), (40, 40), (1, 90), (7, 3)])
@pytest.mark.parametrize("u", [None, 0.0, 0.999])
def test_every_method_fills_the_canvas(method: PresizeMethod, shape: tuple[int, int], u: float | None) -> None:
    canvas, side = Presize(16, method)(ramp(*shape), u)
    assert canvas.shape == (3, 16, 16)
    assert canvas.dtype == torch.uint8
    assert canvas.is_contiguous()
    assert side == (min(16, *shape) if method == "native" else 16)


def test_crop_keeps_the_short_side_and_moves_along_the_long_side() -> None:
    crop = Presize(20)
    for u, left in ((0.0, 0), (None, 15), (0.5, 15), (0.9999, 30)):
        canvas, _ = crop(ramp(20, 50), u)
        assert torch.equal(canvas, ramp(20, 50)[:, :, left : left + 20])
        canvas, _ = crop(ramp(50, 20), u)
        assert torch.equal(canvas, ramp(50, 20)[:, left : left + 20])


def test_crop_reaches_every_place_equally_often() -> None:
    image = ramp(4, 9)
    places = [int(Presize(4)(image, float(u))[0][0, 0, 0]) for u in np.linspace(0, 1, 600, endpoint=False)]
    assert np.bincount(places).tolist() == [100] * 6


@settings(max_examples=200, deadline=None)
@given(short=st.integers(1, 400), extra=st.integers(0, 400), u=st.floats(0, 1, exclude_max=True))
def test_crop_loses_no_pixel_of_the_short_side(short: int, extra: int, u: float) -> None:
    # A float factor, as in fastai's Resize, makes some squares a pixel too small.
    image = torch.zeros(3, short, short + extra, dtype=torch.uint8)
    image[:, 0] = image[:, -1] = 200
    canvas, _ = Presize(short)(image, u)
    assert torch.equal(canvas, image[:, :, :short])


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_resizing_is_antialiased_like_pillow(interpolation: Interpolation) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 90, 3), dtype=np.uint8)
    kernel = Image.Resampling[interpolation.upper()]
    expected = np.asarray(Image.fromarray(pixels).resize((32, 32), kernel)).astype(int)
    for method in METHODS:
        canvas, _ = Presize(32, method, interpolation)(torch.from_numpy(pixels).permute(2, 0, 1))
        assert np.abs(canvas.permute(1, 2, 0).numpy() - expected).max() <= 1


def test_a_small_image_is_enlarged() -> None:
    canvas, _ = Presize(64)(ramp(10, 12))
    assert canvas[0, 0, 0] == 1
    assert canvas[0, 0, -1] == 10


def test_squish_keeps_all_corners() -> None:
    image = ramp(40, 80)
    for u in (None, 0.0, 0.7):
        canvas, _ = Presize(40, "squish")(image, u)
        assert canvas[0, 0, 0] <= 1
        assert canvas[0, 0, -1] >= 78
        assert torch.equal(canvas[1, :, 0], torch.arange(40, dtype=torch.uint8))


def test_pad_keeps_the_whole_image_and_reflects_it() -> None:
    image = ramp(8, 20)
    for u, top in ((0.0, 0), (None, 6), (0.9999, 12)):
        canvas, _ = Presize(20, "pad")(image, u)
        assert torch.equal(canvas[:, top : top + 8], image)
        if top == 6:
            assert torch.equal(canvas[:, :6], image[:, :6].flip(1))
            assert torch.equal(canvas[:, 14:], image[:, 2:].flip(1))


def test_pad_reflects_as_often_as_it_takes() -> None:
    canvas, _ = Presize(9, "pad")(ramp(2, 9), 0.0)
    assert canvas[1, :, 0].tolist() == [0, 1, 1, 0, 0, 1, 1, 0, 0]


SHAPES = st.tuples(st.integers(1, 90), st.integers(1, 90))


@settings(max_examples=200, deadline=None)
@given(shape=SHAPES, size=st.integers(1, 60), method=st.sampled_from(METHODS))
def test_shrinking_never_enlarges_and_keeps_enough_for_the_canvas(
    shape: tuple[int, int], size: int, method: PresizeMethod
) -> None:
    presize = Presize(size, method)
    shrunk = presize.resize(noise(*shape))
    height, width = shrunk.shape[1:]
    assert (height, width) == presize.resized_shape(*shape)
    assert height * width <= shape[0] * shape[1]
    assert torch.equal(presize.resize(shrunk), shrunk)
    if method in ("crop", "native"):
        assert min(height, width) == min(size, *shape)
        assert min(height, width) < size or abs(height / width / (shape[0] / shape[1]) - 1) <= 0.5 / size
    elif method == "pad":
        assert max(height, width) == min(size, max(shape))
    else:
        assert (height, width) == ((size, size) if size * size < shape[0] * shape[1] else shape)


@settings(max_examples=100, deadline=None)
@given(shape=SHAPES, method=st.sampled_from(METHODS), interpolation=st.sampled_from(INTERPOLATIONS))
def test_the_order_of_the_bytes_in_memory_does_not_matter(
    shape: tuple[int, int], method: PresizeMethod, interpolation: Interpolation
) -> None:
    presize, image = Presize(33, method, interpolation), noise(*shape)
    planes, turned = image.contiguous(), image.transpose(1, 2).contiguous().transpose(1, 2)
    expected, _ = presize(image, 0.3)
    for other in (planes, turned):
        shrunk = presize.resize(other)
        assert shrunk.permute(1, 2, 0).is_contiguous()
        assert torch.equal(presize.square(shrunk, 0.3)[0], expected)
        assert torch.equal(presize.square(shrunk.contiguous(), 0.3)[0], expected)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_an_image_one_pixel_wide_is_read_right_whatever_its_strides(interpolation: Interpolation) -> None:
    image = noise(34, 1)
    turned = image.transpose(1, 2).contiguous().transpose(1, 2)
    assert turned.stride() == (34, 1, 34)
    presize = Presize(16, "pad", interpolation)
    assert torch.equal(presize(turned)[0], presize(image)[0])


def test_a_large_image_is_shrunk_before_the_square_is_cut() -> None:
    image = noise(90, 140)
    small = F.resize(image, [30, 47], interpolation=F.InterpolationMode.BICUBIC, antialias=True)
    for u, left in ((0.0, 0), (None, 8), (0.9999, 17)):
        assert torch.equal(Presize(30)(image, u)[0], small[:, :, left : left + 30])


@settings(max_examples=100, deadline=None)
@given(shape=SHAPES, size=st.integers(1, 60), u=st.floats(0, 1, exclude_max=True) | st.none())
def test_native_is_crop_that_never_enlarges(shape: tuple[int, int], size: int, u: float | None) -> None:
    image = noise(*shape)
    canvas, side = Presize(size, "native")(image, u)
    assert side == min(size, *shape)
    assert torch.equal(canvas[:, :side, :side], Presize(side)(image, u)[0])
    assert int(canvas.sum()) == int(canvas[:, :side, :side].sum())
    if side == min(shape):
        top, left = (free // 2 if u is None else int(u * (free + 1)) for free in (shape[0] - side, shape[1] - side))
        assert torch.equal(canvas[:, :side, :side], image[:, top : top + side, left : left + side])


@pytest.mark.parametrize("method", ["pad", "squish"])
def test_methods_that_show_the_whole_image_resize_it_once(method: PresizeMethod) -> None:
    for shape in ((90, 140), (20, 25), (20, 140)):
        image = noise(*shape)
        height, width = (30, 30) if method == "squish" else (round(shape[0] * 30 / max(shape)), 30)
        top = (30 - height) // 2
        canvas, _ = Presize(30, method, "bilinear")(image)
        assert torch.equal(canvas[:, top : top + height], F.resize(image, [height, width], antialias=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "zoom"}, r"^data\.presize\.method='zoom' is not allowed: crop, pad, squish, native$"),
        ({"interpolation": "nearest"}, r"^data\.presize\.interpolation='nearest' is not allowed: bilinear, bicubic$"),
        ({"size": 0}, r"^data\.presize\.size=0 is not allowed: a whole number from 1 to 8192$"),
        ({"size": 46.5}, r"^data\.presize\.size=46\.5 is not allowed: a whole number"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Presize(**options)
