"""Crop, zoom, rotation, flip and perspective warp as one homography an image, sampled once.

Coordinates are those of the valid square, -1 to 1 between its outer edges (half-pixel centres, align_corners=False).
Matrices map OUTPUT to INPUT coordinates, in the order of fastai's vision/augment.py: crop window, zoom, rotation, flip,
warp.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pets.augment.uniforms import Column, masked, uniform

# The grid is float32: a coordinate is off by up to 5e-5 pixels, and that much of a filler pixel would shine in.
_ROUNDING = 2.0**-22


class Geometry(NamedTuple):
    """Parameters of B images, each float32 (B,)."""

    window: Tensor
    """Side of the crop window as a fraction of the square's, in (0, 1]; neutral 1."""
    window_x: Tensor
    """Place of the window along the free width, in [0, 1]: 0 left, 1 right."""
    window_y: Tensor
    """Place of the window along the free height, in [0, 1]: 0 top, 1 bottom."""
    flip: Tensor
    """-1 mirrors left and right; neutral 1."""
    angle: Tensor
    """Rotation of the picture in radians, clockwise; neutral 0."""
    zoom: Tensor
    """Magnification, at least 1; neutral 1."""
    zoom_x: Tensor
    """Place of the magnified part along the width, in [0, 1]."""
    zoom_y: Tensor
    """Place of the magnified part along the height, in [0, 1]."""
    warp_x: Tensor
    """Horizontal perspective: the left edge grows, the right edge shrinks by this fraction; neutral 0."""
    warp_y: Tensor
    """Vertical perspective: the upper edge grows, the lower edge shrinks by this fraction; neutral 0."""


def sample_params(
    uniforms: Tensor,
    *,
    min_scale: float,
    p_flip: float,
    max_rotate: float,
    max_zoom: float,
    max_warp: float,
    p_affine: float,
) -> Geometry:
    """Map uniform numbers to parameters, image by image, with a mask of its own for each transform.

    Args:
        uniforms: float32 (B, N_UNIFORMS) in [0, 1).
        min_scale: Smallest area of the crop window as a fraction of the square, in (0, 1]; always applied.
        p_flip: Probability of a horizontal flip.
        max_rotate: Largest rotation to either side, in degrees.
        max_zoom: Largest magnification, at least 1.
        max_warp: Largest perspective distortion to either side, below 0.36 (further, the horizon enters the picture).
        p_affine: Probability of rotation, of zoom, of horizontal and of vertical warp, each on its own.
    """
    radians = math.radians(max_rotate)
    angle = uniform(uniforms, Column.ROTATE, -radians, radians)
    zoom = uniform(uniforms, Column.ZOOM, 1.0, max_zoom)
    warp_x = uniform(uniforms, Column.WARP_X, -max_warp, max_warp)
    warp_y = uniform(uniforms, Column.WARP_Y, -max_warp, max_warp)
    return Geometry(
        window=uniform(uniforms, Column.WINDOW_AREA, min_scale, 1.0).sqrt(),
        window_x=uniforms[:, Column.WINDOW_X],
        window_y=uniforms[:, Column.WINDOW_Y],
        flip=masked(torch.full_like(angle, -1.0), uniforms, Column.FLIP, p_flip, neutral=1.0),
        angle=masked(angle, uniforms, Column.ROTATE_MASK, p_affine, neutral=0.0),
        zoom=masked(zoom, uniforms, Column.ZOOM_MASK, p_affine, neutral=1.0),
        zoom_x=uniforms[:, Column.ZOOM_X],
        zoom_y=uniforms[:, Column.ZOOM_Y],
        warp_x=masked(warp_x, uniforms, Column.WARP_X_MASK, p_affine, neutral=0.0),
        warp_y=masked(warp_y, uniforms, Column.WARP_Y_MASK, p_affine, neutral=0.0),
    )


def homography(geometry: Geometry) -> Tensor:
    """Compose the parameters into float32 (B, 3, 3) matrices from output to input coordinates."""
    g = geometry
    shrink = 1 / g.zoom
    scale = shrink * g.window
    x = shrink * (1 - g.window) * (2 * g.window_x - 1) + (1 - shrink) * (2 * g.zoom_x - 1)
    y = shrink * (1 - g.window) * (2 * g.window_y - 1) + (1 - shrink) * (2 * g.zoom_y - 1)
    cos, sin = g.angle.cos(), g.angle.sin()
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    affine = _matrices(
        [g.flip * cos * scale, g.flip * sin * scale, g.flip * (cos * x + sin * y)],
        [-sin * scale, cos * scale, cos * y - sin * x],
        [zero, zero, one],
    )
    # Written out, because a matrix product may run in TF32 or bfloat16, which moves the picture by a pixel.
    return (perspective(g.warp_x, g.warp_y).unsqueeze(-1) * affine.unsqueeze(-3)).sum(-2)


def perspective(warp_x: Tensor, warp_y: Tensor) -> Tensor:
    """Return (B, 3, 3) homographies that send a quadrilateral to the square's corners, as fastai's Warp does.

    The point (u - warp_y * u * v, v - warp_x * u * v) is sent to the corner (u, v), with u and v each -1 or 1. The way
    back, [[1 - y^2, -xy, x], [-xy, 1 - x^2, y], [x, y, 1]], solves the eight equations; this is its inverse.
    """
    x2, y2 = warp_x.square(), warp_y.square()
    k = 1 - x2 - y2
    one, shear = torch.ones_like(k), 2 * warp_x * warp_y / k
    x, y = -warp_x * (1 - x2 + y2) / k, -warp_y * (1 + x2 - y2) / k
    return _matrices([one, shear, x], [shear, one, y], [x, y, one])


def resample(images: Tensor, sides: Tensor, matrices: Tensor, size: int, supersample: int = 1) -> Tensor:
    """Read each image once through its homography, bilinearly; beyond the valid square the picture is mirrored.

    Args:
        images: uint8 (B, 3, S, S).
        sides: float32 (B,) side in pixels of the valid square at the top left.
        matrices: float32 (B, 3, 3) from `homography`.
        size: Side of the result in pixels.
        supersample: Points read along each axis of an output pixel, whose mean it becomes. A bilinear reading covers a
            reduction by 2, so canvases larger than that are read at more points all the same.

    Returns:
        float32 (B, 3, size, size) in [0, 1], up to rounding.
    """
    canvas = images.shape[-1]
    points = max(supersample, round(canvas / (2 * size)))
    grid = _grid(matrices, sides, canvas, size * points)
    pixels = F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    if points > 1:
        pixels = F.avg_pool2d(pixels, points)
    return pixels.div_(255)


def _grid(matrices: Tensor, sides: Tensor, canvas: int, n: int) -> Tensor:
    """Return (B, n, n, 2) coordinates on the canvas, in [-1, 1], mirrored into the valid square."""
    centres = (torch.arange(n, device=matrices.device) * 2 + 1) / n - 1
    # The mirror has period 4, so quarters of x + 1 are what it needs.
    rows = torch.cat([(matrices[:, :2] + matrices[:, 2:]) / 4, matrices[:, 2:]], dim=1)
    along_x = rows[:, :, None, :1] * centres
    along_y = rows[:, :, 1:2] * centres + rows[:, :, 2:]
    homogeneous = along_x + along_y.unsqueeze(-1)
    quarters = homogeneous[:, :2].div_(homogeneous[:, 2:])
    mirrored = quarters.sub_(quarters.round()).abs_()
    share = (sides / canvas).view(-1, 1, 1, 1)
    last = torch.where(share < 1, 2 * share - 1 - 1 / canvas - _ROUNDING, 1.0)
    return torch.minimum(mirrored.mul_(4 * share).sub_(1), last).permute(0, 2, 3, 1)


def _matrices(*rows: list[Tensor]) -> Tensor:
    """Stack (B,) entries, given as in a written matrix, into (B, rows, columns)."""
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
