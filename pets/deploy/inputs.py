"""What a predictor takes for an image, as pixels; and from pixels to the square that the network is given."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pets.data.images import open_image, pillow_pixels
from pets.data.presize import Presize

ImageLike = str | Path | bytes | Image.Image | NDArray[np.uint8]
"""A path, the bytes of a file, a Pillow image, or RGB pixels uint8 (H, W, 3)."""


def pixels(image: ImageLike) -> Tensor:
    """Return the pixels of an image, uint8 (3, H, W).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It cannot be decoded, or is an array of another shape or type.
        TypeError: It is none of the things that are taken for an image.
    """
    if isinstance(image, str | Path | bytes):
        return open_image(image)
    if isinstance(image, Image.Image):
        try:
            return pillow_pixels(image)
        except Exception as error:  # Pillow reads the file only now, and a broken one raises nearly anything
            name = getattr(image, "filename", "") or repr(image)
            raise ValueError(f"{name}: cannot be decoded: {' '.join(str(error).split())}") from error
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise ValueError(f"an array must be uint8 (H, W, 3), not {image.dtype} {image.shape}")
        return torch.from_numpy(np.array(image, order="C")).permute(2, 0, 1)
    raise TypeError(f"an image must be a path, bytes, a Pillow image or an array, not {type(image).__name__}")


def square(image: ImageLike, presize: Presize) -> tuple[Tensor, int]:
    """Return the centred square of an image on its canvas, uint8 (3, S, S), and its side; raises as `pixels`."""
    return presize(pixels(image))
