"""Every way to hand over an image gives the same pixels; what is no image is named."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pets.data.images import open_image
from pets.data.presize import Presize
from pets.deploy.predictor import pixels, square


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A PNG, so that decoding loses nothing."""
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (50, 70, 3), dtype=np.uint8)).save(tmp_path / "x.png")
    return tmp_path / "x.png"


def test_path_bytes_pillow_and_array_are_the_same_image(path: Path) -> None:
    with Image.open(path) as image:
        array = np.asarray(image)
        for form in (path, str(path), path.read_bytes(), image, array, array.copy(order="F")):
            assert torch.equal(pixels(form), open_image(path))


def test_a_pillow_image_is_made_upright_and_opaque(path: Path, tmp_path: Path) -> None:
    image = Image.open(path)
    exif = image.getexif()
    exif[0x0112] = 6
    turned = tmp_path / "turned.png"
    image.save(turned, exif=exif)
    assert torch.equal(pixels(Image.open(turned)), open_image(turned))
    assert pixels(Image.open(turned)).shape == (3, 70, 50)
    assert pixels(Image.new("RGBA", (2, 2), (0, 0, 0, 0))).unique().tolist() == [255]


def test_the_square_is_the_centre(path: Path) -> None:
    canvas, side = square(path, Presize(50))
    assert torch.equal(canvas, open_image(path)[:, :, 10:60])
    assert side == 50


def test_a_native_square_keeps_its_side(path: Path) -> None:
    canvas, side = square(path, Presize(64, "native"))
    assert (canvas.shape, side) == ((3, 64, 64), 50)
    assert torch.equal(canvas[:, :50, :50], open_image(path)[:, :, 10:60])


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((3, 4, 4), np.uint8), np.zeros((1, 4, 4, 3), np.uint8),
     np.zeros((0, 4, 3), np.uint8)],
    ids=lambda array: f"{array.dtype}{array.shape}",
)  # fmt: skip
def test_an_array_of_another_kind(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"^an array must be uint8 \(H, W, 3\), not "):
        pixels(array)


def test_a_broken_pillow_image(path: Path) -> None:
    broken = Image.open(io.BytesIO(path.read_bytes()[:3000]))
    with pytest.raises(ValueError, match="cannot be decoded"):
        pixels(broken)


@pytest.mark.parametrize("thing", [None, 3, torch.zeros(3, 4, 4), {"a": 1}], ids=lambda thing: type(thing).__name__)
def test_no_image_at_all(thing: object) -> None:
    with pytest.raises(TypeError, match=r"^an image must be a path, bytes, a Pillow image or an array, not "):
        pixels(thing)  # type: ignore[arg-type]


def test_a_missing_and_a_broken_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no.jpg: no such file"):
        pixels(tmp_path / "no.jpg")
    (tmp_path / "x.jpg").write_text("text")
    with pytest.raises(ValueError, match=r"x.jpg: not an image"):
        pixels(tmp_path / "x.jpg")
