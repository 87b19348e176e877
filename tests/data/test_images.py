"""open_image: whatever it decodes it decodes as Pillow does, and whatever it cannot decode it names."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from pets.data import images
from pets.data.images import image_shape, open_image

ORIENTATION = 0x0112


def drawn(height: int = 40, width: int = 56) -> Image.Image:
    """Smooth colours with an edge, different in every corner."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 4, y * 5, 255 - x - y], -1).astype(np.uint8)
    pixels[height // 2 :, : width // 3] = (250, 10, 120)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, format: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags


def by_pillow(data: bytes) -> np.ndarray:
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


def assert_as_pillow(data: bytes) -> None:
    image = open_image(data)
    assert image.dtype == torch.uint8
    expected = by_pillow(data)
    assert image.shape == expected.shape
    # JPEG libraries may round differently.
    assert np.abs(image.numpy().astype(int) - expected).max() <= 2


def with_segment_first(jpeg: bytes, payload: bytes) -> bytes:
    """Insert an APP1 segment in front of all others."""
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + jpeg[2:]


def without_adobe_marker(jpeg: bytes) -> bytes:
    start = jpeg.index(b"\xff\xee")
    (length,) = struct.unpack(">H", jpeg[start + 2 : start + 4])
    return jpeg[:start] + jpeg[start + 2 + length :]


CMYK = Image.merge("CMYK", [*drawn().split(), drawn().convert("L")])


@pytest.mark.parametrize(
    "jpeg",
    [
        pytest.param(encoded(drawn(), subsampling=0), id="4:4:4"),
        pytest.param(encoded(drawn(41, 57), subsampling=2), id="4:2:0 odd size"),
        pytest.param(encoded(drawn(), progressive=True), id="progressive"),
        pytest.param(encoded(drawn(), keep_rgb=True), id="RGB inside"),
        pytest.param(encoded(drawn().convert("L")), id="grey"),
        pytest.param(encoded(CMYK), id="CMYK"),
        pytest.param(without_adobe_marker(encoded(CMYK)), id="CMYK without Adobe marker"),
        pytest.param(encoded(drawn()) + b"extraneous" * 9, id="extraneous bytes at the end"),
        pytest.param(encoded(drawn(), "MPO", save_all=True, append_images=[drawn()]), id="two pictures in one"),
        pytest.param(encoded(drawn(1, 1)), id="one pixel"),
    ],
)
def test_jpeg_agrees_with_pillow(jpeg: bytes) -> None:
    assert_as_pillow(jpeg)


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(orientation: int, format: str) -> None:
    assert_as_pillow(encoded(drawn(), format, exif=exif(orientation)))


def test_exif_orientation_behind_another_segment_is_applied() -> None:
    jpeg = with_segment_first(encoded(drawn(), exif=exif(6)), b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>")
    assert open_image(jpeg).shape == (3, 56, 40)
    assert_as_pillow(jpeg)


@pytest.mark.parametrize("garbage", [b"garbage!", b"MM\0*\x7f\xff\xff\xff"])
def test_broken_exif_does_not_matter_and_does_not_warn(garbage: bytes) -> None:
    jpeg = bytearray(encoded(drawn(), exif=exif(6)))
    start = jpeg.index(b"Exif\0\0") + 6
    jpeg[start : start + 8] = garbage
    assert open_image(bytes(jpeg)).shape == (3, 40, 56)


def test_without_the_native_decoder_the_pixels_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    jpegs = [encoded(drawn(), exif=exif(orientation)) for orientation in range(1, 9)] + [encoded(CMYK)]
    native = [open_image(jpeg) for jpeg in jpegs]
    monkeypatch.setattr(images, "_decode_jpeg", None)
    for jpeg, image in zip(jpegs, native, strict=True):
        assert (open_image(jpeg).int() - image.int()).abs().max() <= 2


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "WEBP"])
def test_content_decides_not_the_suffix(format: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(drawn(), format, **({"lossless": True} if format == "WEBP" else {})))
    for source in (path, str(path), path.read_bytes()):
        assert np.array_equal(open_image(source).numpy(), np.asarray(drawn()).transpose(2, 0, 1))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK"])
def test_other_modes_become_rgb(mode: str) -> None:
    image = CMYK if mode == "CMYK" else drawn().convert(mode)
    assert_as_pillow(encoded(image, "TIFF" if mode == "CMYK" else "PNG"))


@pytest.mark.parametrize("mode", ["LA", "RGBA", "PA"])
def test_transparency_shows_white(mode: str) -> None:
    rgba = drawn().convert("RGBA")
    rgba.putalpha(Image.linear_gradient("L").resize(rgba.size))
    image = rgba.quantize(32) if mode == "PA" else rgba.convert(mode)
    pixels = np.asarray(image.convert("RGBA")).astype(float)
    alpha = pixels[..., 3:] / 255
    expected = pixels[..., :3] * alpha + 255 * (1 - alpha)
    decoded = open_image(encoded(image, "PNG")).numpy().transpose(1, 2, 0)
    assert np.abs(decoded - expected).max() <= 1


def test_transparent_colour_of_a_gif_shows_white() -> None:
    image = Image.new("P", (6, 4), 1)
    image.putpalette([0, 0, 0, 200, 30, 40])
    image.paste(0, (0, 0, 3, 4))
    decoded = open_image(encoded(image, "GIF", transparency=0))
    assert decoded[:, :, :3].unique().tolist() == [255]
    assert decoded[:, 0, 4].tolist() == [200, 30, 40]


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_an_animation_gives_its_first_frame(format: str) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:], **options)
    assert open_image(data)[:, 4, 4].tolist() == [255, 0, 0]


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(format: str) -> None:
    values = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    decoded = open_image(encoded(Image.fromarray(values), format))
    assert decoded.shape == (3, 8, 8)
    assert np.array_equal(decoded[0].numpy(), np.round(values / 257).astype(np.uint8))


def test_pixels_without_a_defined_range_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"mode F .*8 or 16 bits"):
        open_image(encoded(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"))


def test_real_photographs_agree_with_pillow(real_data: Path) -> None:
    photographs = sorted((real_data / "data" / "pets37x10").glob("*.jpg"))
    assert len(photographs) == 370
    for path in photographs[::5]:
        assert_as_pillow(path.read_bytes())


@pytest.mark.parametrize("orientation", [*range(1, 9), 99])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"])
def test_the_header_tells_the_shape_of_the_pixels(format: str, orientation: int) -> None:
    tags = {} if format in ("GIF", "BMP") else {"exif": exif(orientation)}
    data = encoded(drawn(), format, **tags)
    assert image_shape(data) == tuple(open_image(data).shape[1:])


def test_a_header_is_refused_as_its_image_is(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"text")
    for source in (tmp_path / "x.jpg", tmp_path / "no.jpg", b""):
        with pytest.raises((ValueError, FileNotFoundError)) as whole:
            open_image(source)
        with pytest.raises(whole.type) as header:
            image_shape(source)
        assert str(header.value) == str(whole.value)


def test_heic_is_read_upright() -> None:
    pytest.importorskip("pillow_heif", reason='pip install "pets[heic]"')
    ramp = Image.fromarray(np.tile(np.arange(0, 256, 4, dtype=np.uint8), (48, 1))).convert("RGB")
    data = encoded(ramp, "HEIF", exif=exif(6).tobytes(), quality=90)
    pixels = open_image(data)
    assert tuple(pixels.shape) == (3, *image_shape(data)) == (3, 64, 48)
    column = pixels[0, :, 24].int()
    assert column[0] < 20 < 230 < column[-1], "turned a quarter clockwise: what was left is on top"


def test_heic_without_the_package_says_what_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pets.data.images.READS_HEIF", False)
    monkeypatch.setattr("pets.data.images._FORMATS", ("JPEG", "PNG"))
    with pytest.raises(ValueError, match=r'HEIC is read with the package pillow-heif: pip install "pets\[heic\]"'):
        open_image(b"\x00\x00\x00\x1cftypheic" + bytes(40))
