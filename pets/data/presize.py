"""The item transform: any image becomes a square of one size, so that images can be stacked while still uint8.

Its first half, `resize`, does the same in every epoch, so that a cache can keep it; `square` takes a random number.
"""

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from pets.settings import data


class Presize(data.Presize):
    """The first half of fastai's presizing (its `Resize(460)`): to a square canvas that later crops and turns fit into.

    `crop` takes a square as wide as the short side and resizes it, `pad` resizes the long side to the canvas and fills
    the rest with reflections, `squish` ignores the aspect ratio. `native` takes the square of `crop` and resizes it
    only if it is larger than the canvas; a smaller one lies at the top left, its pixels as they were decoded. Resizing
    is antialiased.

    The defaults keep more of a photograph than fastai's bilinear 460, in 30% fewer bytes: most short sides are near
    384, so that little is resampled before the one resampling (`python -m benchmarks quality`). The options are those
    of `pets.settings.data.Presize`.

    Raises:
        UserError: An option is outside its range.
    """

    def __call__(self, image: Tensor, u: float | None = None) -> tuple[Tensor, int]:
        """Presize one image: `square(resize(image), u)`."""
        return self.square(self.resize(image), u)

    def resize(self, image: Tensor) -> Tensor:
        """Resize an image that the canvas has no room for; leave a smaller one as it is.

        Args:
            image: uint8 (3, H, W).

        Returns:
            uint8 (3, *resized_shape(H, W)), stored row by row with the colours of a pixel together.
        """
        height, width = image.shape[-2:]
        small = self._resize(image, *self.resized_shape(height, width))
        return small.permute(1, 2, 0).contiguous().permute(2, 0, 1)

    def resized_shape(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of a resized image: of the image itself, if that has fewer pixels."""
        resized = self._full_shape(height, width)
        return resized if resized[0] * resized[1] < height * width else (height, width)

    def square(self, image: Tensor, u: float | None = None) -> tuple[Tensor, int]:
        """Turn a resized image into the canvas.

        Args:
            image: What `resize` returned.
            u: Uniform number in [0, 1) that places the square (`crop`, `native`) or the image (`pad`) along the long
                side; None centres it.

        Returns:
            The canvas, uint8 (3, size, size), contiguous, and the side in pixels of the square at its top left that
            holds the image.
        """
        if self.method == "native":
            return _place(_cut(image, u), self.size)
        if self.method == "crop":
            canvas = self._resize(_cut(image, u), self.size, self.size)
        else:
            canvas = self._resize(image, *self._full_shape(*image.shape[-2:]))
            canvas = _mirror_to_square(canvas, self.size, u)
        return canvas.contiguous(), self.size

    def _full_shape(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of an image that just covers the canvas, fits into it, or is squeezed onto it."""
        if self.method == "squish":
            return self.size, self.size
        scale = self.size / (max if self.method == "pad" else min)(height, width)
        return max(1, round(height * scale)), max(1, round(width * scale))

    def _resize(self, image: Tensor, height: int, width: int) -> Tensor:
        if image.shape[-2:] == (height, width):
            return image
        mode = F.InterpolationMode(self.interpolation)
        if thin := 1 in (*image.shape[-2:], height, width):
            # torch calls any stride of a side of one pixel contiguous, and its resize of uint8 walks along it.
            image = image.clone(memory_format=torch.contiguous_format).float()
        resized: Tensor = F.resize(image, [height, width], interpolation=mode, antialias=True)
        return resized.round().clamp(0, 255).to(torch.uint8) if thin else resized


def _offset(free: int, u: float | None) -> int:
    """Place something with `free` pixels to spare: each of the free + 1 places has the same chance."""
    return free // 2 if u is None else int(u * (free + 1))


def _cut(image: Tensor, u: float | None) -> Tensor:
    """Cut the square that is as wide as the short side."""
    height, width = image.shape[-2:]
    side = min(height, width)
    top, left = _offset(height - side, u), _offset(width - side, u)
    return image[:, top : top + side, left : left + side]


def _place(square: Tensor, size: int) -> tuple[Tensor, int]:
    """Lay a square at the top left of an empty canvas; return its side too."""
    side = square.shape[-1]
    canvas = square.new_zeros(3, size, size)
    canvas[:, :side, :side] = square
    return canvas, side


def _mirror_to_square(image: Tensor, size: int, u: float | None) -> Tensor:
    """Extend an image to size x size by reflection at its borders, as often as it takes."""
    for dim in (1, 2):
        n = image.shape[dim]
        if n == size:
            continue
        pixel = (torch.arange(size) - _offset(size - n, u)) % (2 * n)
        image = image.index_select(dim, torch.minimum(pixel, 2 * n - 1 - pixel))
    return image
