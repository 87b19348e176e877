"""Decode an image file to RGB pixels, by content; nothing else in the project decodes."""

import io
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import torchvision.io  # noqa: F401  (registers torch.ops.image)
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from pets.data.sources.folder import HEAD_BYTES, READS_HEIF, WITHOUT_HEIF, sniff
from pets.errors import UserError
from pets.files import open_regular

if READS_HEIF:
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False)

T = TypeVar("T")

MAX_PIXELS = 178_956_970
"""Larger images are refused before they are decoded (Pillow's own limit for a decompression bomb; 0.5 GB of RGB)."""

MAX_BYTES = 2**30
"""Larger files are refused before they are read: no image of `MAX_PIXELS` needs as much."""

# No format that runs code or an external program (EPS, for one) can be reached through a renamed file.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", *(("HEIF",) if READS_HEIF else ()))

# EXIF orientation -> (transpose first?, dimensions to flip then); 1 and unknown values mean upright.
_UPRIGHT: dict[int, tuple[bool, tuple[int, ...]]] = {
    2: (False, (2,)),
    3: (False, (1, 2)),
    4: (False, (1,)),
    5: (True, ()),
    6: (True, (2,)),
    7: (True, (1, 2)),
    8: (True, (1,)),
}
_EXIF_ORIENTATION = 0x0112
_NATIVE_RGB = 3  # torchvision.io.ImageReadMode.RGB

# The operator behind torchvision.io.decode_jpeg, which since 0.29 warns on each call that it will be removed.
# Without the operator Pillow decodes the same pixels, about a quarter slower.
_decode_jpeg = getattr(torch.ops.image, "decode_jpeg", None)

# warnings.catch_warnings changes the state of the whole process.
_pillow = threading.Lock()


def open_image(source: str | Path | bytes) -> Tensor:
    """Decode an image file, or the bytes of one, by its content.

    EXIF orientation is applied, transparency is composited on white, 16-bit grey is scaled to 8 bits, other colour
    models are converted to RGB; of an animation the first frame is taken. JPEG goes through torchvision's decoder, the
    other formats (PNG, GIF, BMP, WebP, TIFF, and HEIC with the package pillow-heif) through Pillow.

    Returns:
        uint8 (3, H, W), not necessarily contiguous.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It cannot be read, is not an image, empty, broken, truncated, or larger than `MAX_BYTES` or
            `MAX_PIXELS` allow.
    """
    return _decoded(source, _decode)


def image_shape(source: str | Path | bytes) -> tuple[int, int]:
    """Return height and width of what `open_image` returns, from the header alone.

    Raises:
        FileNotFoundError, ValueError: As `open_image`, as far as the header tells.
    """
    return _decoded(source, _upright_shape)


def _decoded(source: str | Path | bytes, decode: Callable[[bytes], T]) -> T:
    name, data = read_bytes(source)
    if not data:
        raise UserError(f"{name}: the file is empty")
    try:
        return decode(data)
    except UnidentifiedImageError:
        if sniff(data[:HEAD_BYTES]) == "heif" and not READS_HEIF:
            raise UserError(f"{name}: {WITHOUT_HEIF}") from None
        raise UserError(f"{name}: not an image of a known format ({', '.join(_FORMATS)})") from None
    except Exception as error:  # a broken file makes the decoders raise nearly anything
        # torchvision puts the place in its own source before its message.
        reason = str(error).rsplit(".cpp:", 1)[-1].partition(", ")[2] if isinstance(error, RuntimeError) else str(error)
        raise UserError(f"{name}: cannot be decoded: {' '.join((reason or repr(error)).split())}") from error


def read_bytes(source: str | Path | bytes) -> tuple[str, bytes]:
    """Return what messages call a source, and its bytes.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It cannot be read, or is larger than `MAX_BYTES`.
    """
    if isinstance(source, bytes):
        return "<bytes>", source
    # A message stays one line, and can be printed, whatever the file is called.
    name = str(source) if str(source).isprintable() else ascii(str(source))
    try:
        with open_regular(source) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_BYTES:
                raise UserError(f"{name}: {size} bytes, more than the {MAX_BYTES} allowed")
            return name, file.read()
    except FileNotFoundError:
        raise FileNotFoundError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{name}: is a directory, not an image file") from None
    except OSError as error:
        raise UserError(f"{name}: cannot be read: {error.strerror}") from error


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    with _pillow, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UserError(f"{image.width} x {image.height} pixels, more than the {MAX_PIXELS} allowed")
            yield image


def _upright_shape(data: bytes) -> tuple[int, int]:
    with _opened(data) as image:
        transpose, _ = _UPRIGHT.get(image.getexif().get(_EXIF_ORIENTATION, 1), (False, ()))
        # Pillow has already turned the size of a TIFF.
        turned = transpose and image.format != "TIFF"
        return (image.width, image.height) if turned else (image.height, image.width)


def _decode(data: bytes) -> Tensor:
    with _opened(data) as image:
        if _decode_jpeg is None or image.format not in ("JPEG", "MPO"):
            return pillow_pixels(image)
        # Pillow's reading of EXIF: torchvision's misses the tag where another APP1 segment comes first.
        orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    pixels: Tensor = _decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), _NATIVE_RGB, False)
    transpose, flips = _UPRIGHT.get(orientation, (False, ()))
    if transpose:
        pixels = pixels.transpose(1, 2)
    return pixels.flip(flips) if flips else pixels


def pillow_pixels(image: Image.Image) -> Tensor:
    """Return the pixels of an image that Pillow opened, uint8 (3, H, W), made upright and RGB as `open_image` does.

    Raises:
        OSError, ValueError, SyntaxError: The file behind it is broken, or its pixels have no defined range.
    """
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((grey * 255 + 32767) // 65535).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise UserError(f"pixels of mode {image.mode} have no defined range; store them with 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
