"""The item transform: any image becomes a square of one size, so that images can be stacked while still uint8."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

METHODS = ("crop", "pad", "squish")


@dataclass(frozen=True)
class Presize:
    """The first half of fastai's presizing (its `Resize(460)`): to a square canvas that later crops and turns fit into.

    `crop` takes a square as wide as the short side and resizes it, `pad` resizes the long side to the canvas and fills
    the rest with reflections, `squish` ignores the aspect ratio. Resizing is bilinear with antialiasing.

    Args:
        size: Side of the canvas in pixels.
        method: `crop`, `pad` or `squish`.

    Raises:
        ValueError: An option is outside its range.
    """

    size: int = 460
    method: str = "crop"

    def __post_init__(self) -> None:
        if not isinstance(self.size, int) or self.size < 1:
            raise ValueError(f"data.presize.size={self.size!r} must be a whole number of pixels, 1 or more")
        if self.method not in METHODS:
            raise ValueError(f"data.presize.method={self.method!r} must be one of {', '.join(METHODS)}")

    def __call__(self, image: Tensor, u: float | None = None) -> tuple[Tensor, int]:
        """Presize one image.

        Args:
            image: uint8 (3, H, W).
            u: Uniform number in [0, 1) that places the square (`crop`) or the image (`pad`) along the long side; None
                centres it.

        Returns:
            The canvas, uint8 (3, size, size), contiguous, and the side in pixels of the square at its top left that
            holds the image.
        """
        if self.method == "crop":
            canvas = self._resize(_square(image, u), self.size, self.size)
        elif self.method == "pad":
            height, width = image.shape[-2:]
            scale = self.size / max(height, width)
            small = self._resize(image, max(1, round(height * scale)), max(1, round(width * scale)))
            canvas = _mirror_to_square(small, self.size, u)
        else:
            canvas = self._resize(image, self.size, self.size)
        return canvas.contiguous(), self.size

    @staticmethod
    def _resize(image: Tensor, height: int, width: int) -> Tensor:
        resized: Tensor = F.resize(image, [height, width], antialias=True)
        return resized


def _offset(free: int, u: float | None) -> int:
    """Place something with `free` pixels to spare: each of the free + 1 places has the same chance."""
    return free // 2 if u is None else int(u * (free + 1))


def _square(image: Tensor, u: float | None) -> Tensor:
    height, width = image.shape[-2:]
    side = min(height, width)
    top, left = _offset(height - side, u), _offset(width - side, u)
    return image[:, top : top + side, left : left + side]


def _mirror_to_square(image: Tensor, size: int, u: float | None) -> Tensor:
    """Extend an image to size x size by reflection at its borders, as often as it takes."""
    for dim in (1, 2):
        n = image.shape[dim]
        position = (torch.arange(size) - _offset(size - n, u)) % (2 * n)
        image = image.index_select(dim, torch.minimum(position, 2 * n - 1 - position))
    return image
