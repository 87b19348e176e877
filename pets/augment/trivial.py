"""TrivialAugment (Müller & Hutter, 2021): one random operation an image, at a random strength."""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from pets.settings import augment as settings

STRENGTHS = 31
"""Strengths between none and the largest, as in the paper."""

Operation = Callable[[Tensor, float, float], Tensor]

OPERATIONS: dict[str, Operation | None] = {
    "identity": None,
    "shear_x": None,
    "shear_y": None,
    "translate_x": None,
    "translate_y": None,
    "rotate": None,
    "brightness": lambda image, strength, sign: F.adjust_brightness(image, 1 + sign * 0.99 * strength),
    "colour": lambda image, strength, sign: F.adjust_saturation(image, 1 + sign * 0.99 * strength),
    "contrast": lambda image, strength, sign: F.adjust_contrast(image, 1 + sign * 0.99 * strength),
    "sharpness": lambda image, strength, sign: F.adjust_sharpness(image, 1 + sign * 0.99 * strength),
    "posterize": lambda image, strength, sign: F.posterize(image, 8 - round(6 * strength)),
    "solarize": lambda image, strength, sign: F.solarize(image, 1 - strength),
    "autocontrast": lambda image, strength, sign: F.autocontrast(image),
    "equalize": lambda image, strength, sign: F.equalize(image),
}
"""The fourteen of TrivialAugment's wide space with their largest strengths; those of geometry change no pixel here."""


class TrivialAugment(settings.TrivialAugment):
    """Change the colours of each image by one operation of TrivialAugment's wide space, with torchvision's kernels.

    Geometry is left out: shear, translation and rotation after the homography would resample a second time, which costs
    sharpness, and a step sees pixels, not the matrix. The batch transform's own crop, rotation, zoom and warp take
    their place. Their share of the draws, like the identity's, leaves the colours alone: 6 of 14.

    The kernels take one strength at a time and what was drawn is read on the host, so on a GPU this waits for the
    device once a batch.
    """

    n_uniforms: ClassVar[int] = 3
    """Operation, strength, and its sign."""

    def __call__(self, images: Tensor, uniforms: Tensor) -> Tensor:
        """Return float32 (B, 3, s, s) images in [0, 1], each with one change or none."""
        operations, changed = list(OPERATIONS.values()), []
        for image, (which, strength, sign) in zip(images, uniforms.tolist(), strict=True):
            operation = operations[int(which * len(operations))]
            if operation is not None:
                level = int(strength * STRENGTHS) / (STRENGTHS - 1)
                image = operation(image, level, -1.0 if sign < 0.5 else 1.0)
            changed.append(image)
        return torch.stack(changed)
