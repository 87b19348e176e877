"""Odd image files on the whole way from the folder to the batch: loaded right, or one line that names the file."""

import io
import os
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pets.data.datamodule import ImageDataModule
from pets.data.images import open_image

Load = Callable[..., ImageDataModule]
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 36, 3), dtype=np.uint8))
FRAMES: dict[str, Any] = {"save_all": True, "append_images": [PHOTO.rotate(180)]}


def encoded(format: str, image: Image.Image = PHOTO, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def tenths(data: bytes, n: int) -> bytes:
    return data[: len(data) * n // 10]


def grey16() -> Image.Image:
    return Image.fromarray((np.arange(24 * 36, dtype=np.uint16) * 70).reshape(24, 36))


def png(header: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """Build a PNG of raw chunks, for what Pillow does not write."""
    parts = [(b"IHDR", header), *chunks, (b"IEND", b"")]
    packed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def rgb16() -> bytes:
    rows = b"".join(b"\0" + bytes(36 * 6) for _ in range(24))
    return png(struct.pack(">IIBBBBB", 36, 24, 16, 2, 0, 0, 0), (b"IDAT", zlib.compress(rows)))


def interlaced() -> bytes:
    return png(struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 1), (b"IDAT", zlib.compress(b"\0\x01\x02\x03")))


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


CMYK = Image.merge("CMYK", [*PHOTO.split(), PHOTO.convert("L")])
TALL, WIDE = PHOTO.resize((1, 5000)), PHOTO.resize((5000, 1))

GOOD: dict[str, bytes] = {
    **{f"{format} as .jpg": encoded(format) for format in FORMATS},
    **{f"JPEG, orientation {n}": encoded("JPEG", exif=exif(n)) for n in range(1, 9)},
    **{f"PNG, mode {mode}": encoded("PNG", PHOTO.convert(mode)) for mode in ("1", "L", "LA", "P", "RGBA")},
    **{f"BMP, mode {mode}": encoded("BMP", PHOTO.convert(mode)) for mode in ("1", "L", "P", "RGBA")},
    **{f"TIFF, {c}": encoded("TIFF", compression=c) for c in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg")},
    **{f"{format}, animated": encoded(format, **FRAMES) for format in ("GIF", "PNG", "WEBP", "TIFF", "MPO")},
    **{f"{w} x {h} pixels": encoded("JPEG", PHOTO.resize((w, h))) for w, h in ((1, 1), (1, 5000), (5000, 1))},
    "JPEG, progressive": encoded("JPEG", progressive=True),
    "JPEG, grey": encoded("JPEG", PHOTO.convert("L")),
    "JPEG, CMYK": encoded("JPEG", CMYK),
    "JPEG, RGB inside": encoded("JPEG", keep_rgb=True),
    "JPEG, no subsampling": encoded("JPEG", subsampling=0),
    "JPEG, restart markers": encoded("JPEG", restart_marker_blocks=1),
    "JPEG, extraneous bytes": encoded("JPEG") + b"extraneous" * 9,
    "JPEG, comment": encoded("JPEG", comment=b"<script>"),
    "JPEG, broken colour profile": encoded("JPEG", icc_profile=b"no profile"),
    "PNG, 16 bits grey": encoded("PNG", grey16()),
    "PNG, 16 bits colour": rgb16(),
    "PNG, interlaced": interlaced(),
    "PNG, transparent palette": encoded("PNG", PHOTO.convert("P"), transparency=3),
    "GIF, transparent": encoded("GIF", PHOTO.convert("P"), transparency=3),
    "GIF87a": b"GIF87a" + encoded("GIF")[6:],
    "WebP, lossless": encoded("WEBP", lossless=True),
    "WebP, alpha": encoded("WEBP", PHOTO.convert("RGBA")),
    "TIFF, CMYK": encoded("TIFF", CMYK),
    "TIFF, 16 bits grey": encoded("TIFF", grey16()),
    "TIFF, fax": encoded("TIFF", PHOTO.convert("1"), compression="group4"),
    "TIFF, big": encoded("TIFF", big_tiff=True),
    "JPEG 1 x 5000 at orientation 6": encoded("JPEG", TALL, exif=exif(6)),
}
BOMB = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
BROKEN: dict[str, bytes] = {
    **{f"{format} cut at {n} tenths": tenths(encoded(format), n) for format in FORMATS for n in range(1, 10)},
    "empty": b"",
    "one byte": b"\xff",
    **{f"random bytes {seed}": np.random.default_rng(seed).bytes(3000) for seed in range(3)},
    **{f"{format}, noise after 16 bytes": encoded(format)[:16] + PHOTO.tobytes() for format in FORMATS},
    "zeros": bytes(3000),
    "HTML": b"<!DOCTYPE html><html>404</html>",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file",
    "PDF": b"%PDF-1.7\n1 0 obj",
    "zip": b"PK\x03\x04" + bytes(200),
    "shell script": b"#!/bin/sh\ntouch canary\n",
    "PNG that claims 3.6 billion pixels": png(BOMB, (b"IDAT", zlib.compress(bytes(1000)))),
    "PNG whose text expands to 100 MB": png(rgb16()[16:29], (b"zTXt", b"k\0\0" + zlib.compress(bytes(10**8), 9))),
    "PNG without pixels": png(rgb16()[16:29]),
    "PNG of no width": png(struct.pack(">IIBBBBB", 0, 5, 8, 2, 0, 0, 0)),
    "TIFF of floats": encoded("TIFF", Image.fromarray(np.ones((4, 4), np.float32))),
    "TIFF whose directory points to itself": b"II*\0" + struct.pack("<IHHHIIII", 8, 1, 256, 4, 1, 5, 8, 8),
}  # fmt: skip


def refused(load: Load, name: str, **options: object) -> str:
    """The one line of a run that ends with an error, which names the file."""
    with pytest.raises((ValueError, OSError)) as caught:
        load(**options)
    message = str(caught.value)
    assert name in message
    assert len(message.splitlines()) == 1
    assert "Traceback" not in message
    return message


@pytest.mark.parametrize("on_error", ["raise", "skip"])
@pytest.mark.parametrize("kind", GOOD)
def test_an_odd_image_is_loaded(kind: str, on_error: str, cage: Path, load: Load) -> None:
    for n in range(2):
        (cage / f"odd_{n}.jpg").write_bytes(GOOD[kind])
    data = load(on_error=on_error)
    assert list(data.vocab) == ["Birman", "great_pyrenees", "odd", "pug"]
    assert (len(data.table), data.left_out) == (8, {})
    with Image.open(io.BytesIO(GOOD[kind])) as image:
        turned = image.getexif().get(0x0112, 1) > 4
        assert open_image(GOOD[kind]).shape[1:] == (image.size if turned else image.size[::-1])


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_image_is_named_or_left_out(kind: str, cage: Path, load: Load) -> None:
    (cage / "pug_bad.jpg").write_bytes(BROKEN[kind])
    refused(load, "pug_bad.jpg")
    data = load(on_error="skip")
    assert len(data.table) == 6
    assert list(data.left_out) == ["pug_bad.jpg"]
    assert len(data.left_out["pug_bad.jpg"].splitlines()) == 1


def test_folders_are_no_images(cage: Path, load: Load) -> None:
    (cage / "pug_7.jpg").mkdir()
    (cage / "full.jpg").mkdir()
    (cage / "full.jpg" / "pug_8.jpg").write_bytes(GOOD["JPEG as .jpg"])
    assert "full.jpg/pug_8.jpg" in load().table.files


@pytest.mark.parametrize("target", ["gone.jpg", "pug_bad.jpg"], ids=["dangling", "loop"])
def test_a_broken_link_is_named_or_left_out(target: str, cage: Path, load: Load) -> None:
    (cage / "pug_bad.jpg").symlink_to(cage / target)
    refused(load, "pug_bad.jpg")
    assert list(load(on_error="skip").left_out) == ["pug_bad.jpg"]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/mem, which even root cannot read from its start")
def test_an_unreadable_file_is_named_or_left_out(cage: Path, load: Load) -> None:
    (cage / "pug_bad.jpg").symlink_to("/proc/self/mem")
    assert "cannot be read" in refused(load, "pug_bad.jpg")
    assert list(load(on_error="skip").left_out) == ["pug_bad.jpg"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file; see /proc/self/mem instead")
def test_a_file_without_permission_is_named_or_left_out(cage: Path, load: Load) -> None:
    (cage / "pug_bad.jpg").write_bytes(GOOD["JPEG as .jpg"])
    (cage / "pug_bad.jpg").chmod(0)
    before = (cage / "pug_bad.jpg").stat()
    with pytest.raises(ValueError, match=r"pug_bad\.jpg: cannot be read: Permission denied"):
        open_image(cage / "pug_bad.jpg")
    assert (cage / "pug_bad.jpg").stat() == before


def test_a_file_of_a_terabyte_is_not_read(cage: Path, load: Load) -> None:
    with open(cage / "pug_bad.jpg", "wb") as file:
        file.write(GOOD["JPEG as .jpg"])
        file.truncate(2**40)
    assert "more than the" in refused(load, "pug_bad.jpg")
    assert list(load(on_error="skip").left_out) == ["pug_bad.jpg"]
