"""Brightness and contrast in logit space, so never out of range, as fastai's in vision/augment.py."""

import math
from typing import NamedTuple

from torch import Tensor

from pets.augment.uniforms import Column, masked, uniform


class Lighting(NamedTuple):
    """Parameters of B images, each float32 (B,)."""

    brightness: Tensor
    """What mid-grey becomes, in (0, 1); neutral 0.5."""
    contrast: Tensor
    """Factor on the logit, above 0; neutral 1."""


def sample_params(uniforms: Tensor, *, max_lighting: float, p_lighting: float) -> Lighting:
    """Map uniform numbers to parameters, image by image.

    Args:
        uniforms: float32 (B, N_UNIFORMS) in [0, 1).
        max_lighting: Strength m in [0, 1): brightness is uniform in [(1 - m) / 2, (1 + m) / 2], the logarithm of
            contrast uniform in [log(1 - m), -log(1 - m)].
        p_lighting: Probability of each of the two, on its own.
    """
    brightness = uniform(uniforms, Column.BRIGHTNESS, (1 - max_lighting) / 2, (1 + max_lighting) / 2)
    contrast = uniform(uniforms, Column.CONTRAST, math.log(1 - max_lighting), -math.log(1 - max_lighting)).exp()
    return Lighting(
        brightness=masked(brightness, uniforms, Column.BRIGHTNESS_MASK, p_lighting, neutral=0.5),
        contrast=masked(contrast, uniforms, Column.CONTRAST_MASK, p_lighting, neutral=1.0),
    )


def adjust_(images: Tensor, lighting: Lighting) -> Tensor:
    """Return sigmoid(contrast * (logit(images) + logit(brightness))), computed in place.

    Args:
        images: float32 (B, 3, s, s) in [0, 1]; overwritten. Black and white are first moved inside by 1e-7.
        lighting: Parameters of the B images.
    """
    offset = lighting.brightness.logit().view(-1, 1, 1, 1)
    factor = lighting.contrast.view(-1, 1, 1, 1)
    return images.logit_(eps=1e-7).add_(offset).mul_(factor).sigmoid_()
