"""What each column of a batch's uniform numbers decides, and how such numbers become parameters."""

from enum import IntEnum

import torch
from torch import Tensor


class Column(IntEnum):
    """The columns of `Batch.uniforms`: one a random choice, so that changing one leaves the others."""

    PRESIZE = 0
    WINDOW_AREA = 1
    WINDOW_X = 2
    WINDOW_Y = 3
    FLIP = 4
    ROTATE_MASK = 5
    ROTATE = 6
    ZOOM_MASK = 7
    ZOOM = 8
    ZOOM_X = 9
    ZOOM_Y = 10
    WARP_X_MASK = 11
    WARP_X = 12
    WARP_Y_MASK = 13
    WARP_Y = 14
    BRIGHTNESS_MASK = 15
    BRIGHTNESS = 16
    CONTRAST_MASK = 17
    CONTRAST = 18
    MIX = 19


def uniform(uniforms: Tensor, column: Column, low: float, high: float) -> Tensor:
    """Return float32 (B,) numbers uniform in [low, high) from one column of the (B, N_UNIFORMS) uniforms."""
    return low + (high - low) * uniforms[:, column]


def masked(values: Tensor, uniforms: Tensor, column: Column, p: float, neutral: float) -> Tensor:
    """Return (B,) `values` with probability `p`, else `neutral`, as one column of the uniforms decides per image."""
    return torch.where(uniforms[:, column] < p, values, neutral)
