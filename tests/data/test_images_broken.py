"""open_image on what is broken, dangerous or no image: a one-line error that names the file, or the pixels."""

import io
import struct
import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pets.data import images
from pets.data.images import open_image


def drawn(height: int = 40, width: int = 56) -> Image.Image:
    return Image.radial_gradient("L").resize((width, height)).convert("RGB")


def encoded(image: Image.Image, format: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def error_of(source: str | Path | bytes) -> str:
    with pytest.raises(ValueError, match=r"^(<bytes>|/)") as caught:
        open_image(source)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_cut_anywhere_is_an_error(progressive: bool) -> None:
    jpeg = encoded(drawn(16, 16), progressive=progressive)
    for length in range(len(jpeg)):
        assert error_of(jpeg[:length]).startswith("<bytes>: ")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"])
def test_a_truncated_file_is_an_error_with_its_path(format: str, tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    data = encoded(drawn(), format)
    path.write_bytes(data[: len(data) // 2])
    assert error_of(path).startswith(f"{path}: ")


def test_the_message_of_the_native_decoder_is_readable() -> None:
    jpeg = encoded(drawn())
    assert error_of(jpeg[:-20]) == "<bytes>: cannot be decoded: Image is incomplete or truncated"


def test_empty_unknown_missing_and_folder(tmp_path: Path) -> None:
    empty, text = tmp_path / "empty.jpg", tmp_path / "text.jpg"
    empty.touch()
    text.write_text("not an image")
    assert error_of(empty) == f"{empty}: the file is empty"
    assert error_of(text).startswith(f"{text}: not an image of a known format (JPEG, ")
    assert error_of(tmp_path) == f"{tmp_path}: is a directory, not an image file"
    assert error_of(b"") == "<bytes>: the file is empty"
    with pytest.raises(FileNotFoundError, match=r"gone\.jpg: no such file"):
        open_image(tmp_path / "gone.jpg")


def with_jpeg_size(jpeg: bytes, height: int, width: int) -> bytes:
    start = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:start] + struct.pack(">HH", height, width) + jpeg[start + 4 :]


def test_a_decompression_bomb_is_refused_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(images, "_decode_jpeg", decode)
    monkeypatch.setattr(images, "pillow_pixels", decode)
    bomb = with_jpeg_size(encoded(drawn()), 60_000, 60_000)
    assert "3600000000 pixels" in error_of(bomb)
    monkeypatch.setattr(images, "MAX_PIXELS", 40 * 56 - 1)
    for format in ("JPEG", "PNG"):
        assert error_of(encoded(drawn(), format)).endswith("56 x 40 pixels, more than the 2239 allowed")


def test_a_large_photograph_is_no_bomb_and_does_not_warn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40 * 56 - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_image(encoded(drawn())).shape == (3, 40, 56)


BASES = [encoded(drawn(), format) for format in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")]


@settings(max_examples=150, deadline=None)
@given(
    base=st.sampled_from(BASES),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=5),
)
def test_broken_bytes_give_an_image_or_a_one_line_error(base: bytes, changes: list[tuple[float, int]]) -> None:
    data = bytearray(base)
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    try:
        image = open_image(bytes(data))
    except ValueError:
        assert error_of(bytes(data)).startswith("<bytes>: ")
    else:
        assert image.dtype == torch.uint8
        assert image.shape[0] == 3
