"""The image an ideal resampler gives: 8 x 8 bicubic samples of the decoded pixels, averaged over every output pixel.

Coordinates are continuous: pixel i of an image covers [i, i + 1), in x and y alike.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

OVERSAMPLE = 8

Mapping = Callable[[Tensor], Tensor]
"""Points (..., 2) as (x, y) in output pixels -> points (..., 2) in pixels of the native square."""


@dataclass(frozen=True)
class View:
    """One random view of a square: crop, then zoom, then rotation, all in pixels of a `canvas` x `canvas` square.

    Attributes:
        left, top, side: Integer crop window inside the canvas.
        zoom: Magnification, 1 or more, about the point (`zoom_x`, `zoom_y`) in [0, 1] of the canvas.
        degrees: Rotation, output to input, as fastai counts it.
    """

    canvas: int
    left: int
    top: int
    side: int
    zoom: float
    zoom_x: float
    zoom_y: float
    degrees: float

    @classmethod
    def draw(cls, rng: np.random.Generator, canvas: int = 460, min_scale: float = 0.75) -> "View":
        """Draw a view as `aug_transforms(size=224, min_scale=.75)` does: zoom up to 1.1, up to 10 degrees."""
        side = round(canvas * math.sqrt(rng.uniform(min_scale, 1)))
        left, top = (int(offset) for offset in rng.integers(0, canvas - side + 1, size=2))
        zoom, x, y = float(rng.uniform(1, 1.1)), float(rng.random()), float(rng.random())
        return cls(canvas, left, top, side, zoom, x, y, float(rng.uniform(-10, 10)))

    def matrix(self) -> Tensor:
        """Return rotate @ zoom, float64 (3, 3), acting on canvas coordinates in [-1, 1], output to input."""
        s, angle = 1 / self.zoom, math.radians(self.degrees)
        x, y = (1 - s) * (2 * self.zoom_x - 1), (1 - s) * (2 * self.zoom_y - 1)
        zoom = torch.tensor([[s, 0, x], [0, s, y], [0, 0, 1]], dtype=torch.float64)
        cos, sin = math.cos(angle), math.sin(angle)
        return torch.tensor([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]], dtype=torch.float64) @ zoom

    def crop_matrix(self) -> Tensor:
        """Return the crop as float64 (3, 3): output in [-1, 1] -> canvas in [-1, 1], edges on edges."""
        s = self.side / self.canvas
        x, y = ((2 * start + self.side) / self.canvas - 1 for start in (self.left, self.top))
        return torch.tensor([[s, 0, x], [0, s, y], [0, 0, 1]], dtype=torch.float64)

    def mapping(self, square: int, size: int) -> Mapping:
        """Map `size` output pixels to a native square of `square` pixels, edges of the pixels on edges."""
        full = self.matrix() @ self.crop_matrix()

        def to_native(points: Tensor) -> Tensor:
            return (_apply(full, 2 * points / size - 1) + 1) / 2 * square

        return to_native

    def corner_mapping(self, square: int, size: int) -> Mapping:
        """Map as fastai does: in both of its samplings the centres of the corner pixels meet (align_corners=True)."""
        matrix, last = self.matrix(), self.canvas - 1
        start = torch.tensor([self.left, self.top], dtype=torch.float64)

        def to_native(points: Tensor) -> Tensor:
            canvas = start + (points - 0.5) * (self.side - 1) / (size - 1)
            rotated = (_apply(matrix, 2 * canvas / last - 1) + 1) / 2 * last
            return (rotated + 0.5) * square / self.canvas

        return to_native


def _apply(matrix: Tensor, points: Tensor) -> Tensor:
    return points @ matrix[:2, :2].T + matrix[:2, 2]


def pixel_points(size: int, oversample: int) -> Tensor:
    """Return the float64 (size * oversample, size * oversample, 2) centres of the subpixels of a square output."""
    axis = (torch.arange(size * oversample, dtype=torch.float64) + 0.5) / oversample
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y], dim=-1)


def sample(square: Tensor, mapping: Mapping, size: int, oversample: int, mode: str = "bilinear") -> Tensor:
    """Sample a square at `oversample`^2 points an output pixel and average them.

    Args:
        square: uint8 or float (3, S, S) in [0, 255].
        mapping: Output pixels -> pixels of the square.
        size: Side of the output.
        oversample: Points an output pixel, each way.
        mode: "bilinear" or "bicubic" (a = -0.75), reflecting at the borders.

    Returns:
        float32 (3, size, size) in [0, 255].
    """
    grid = (2 * mapping(pixel_points(size, oversample)) / square.shape[-1] - 1).float()
    sampled = F.grid_sample(square.float()[None], grid[None], mode=mode, padding_mode="reflection", align_corners=False)
    return F.avg_pool2d(sampled, oversample)[0].clamp(0, 255)


def oracle(square: Tensor, mapping: Mapping, size: int) -> Tensor:
    """Return the ideal view, float32 (3, size, size) in [0, 255]."""
    return sample(square, mapping, size, OVERSAMPLE, mode="bicubic")


def inside(square: int, mapping: Mapping, size: int, margin: float = 3.0) -> Tensor:
    """Return bool (size, size): output pixels whose corners fall at least `margin` pixels inside the square.

    What lies beyond the border is invented, differently by every route, and says nothing of sharpness.
    """
    corners = mapping(torch.stack(torch.meshgrid(*[torch.arange(size + 1.0)] * 2, indexing="xy"), -1).double())
    good = ((corners >= margin) & (corners <= square - margin)).all(-1)
    return good[:-1, :-1] & good[1:, :-1] & good[:-1, 1:] & good[1:, 1:]


def psnr(image: Tensor, ideal: Tensor, mask: Tensor) -> float:
    """Peak signal-to-noise ratio in decibels over the masked pixels; both images (3, h, w) in [0, 255]."""
    error = (image.float() - ideal)[:, mask].square().mean().item()
    return 10 * math.log10(255**2 / error)
