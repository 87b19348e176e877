"""Mixup (Zhang et al., 2018) and CutMix (Yun et al., 2019) of a batch with itself, rolled by one image."""

from typing import Literal

import torch
from torch import Tensor
from torchvision.transforms import v2

from pets.augment.uniforms import Column


def mix_batch(
    images: Tensor, targets: Tensor, uniforms: Tensor, *, kind: Literal["mixup", "cutmix"], alpha: float, n_classes: int
) -> tuple[Tensor, Tensor]:
    """Mix every image with its neighbour, by a share that the first image's uniforms decide for the whole batch.

    The share is read on the host, so on a GPU this waits for the device once a batch.

    Args:
        images: float32 (B, 3, s, s).
        targets: int64 (B,) class indices.
        uniforms: float32 (B, N_UNIFORMS) in [0, 1).
        kind: "mixup" blends whole images, "cutmix" pastes a rectangle.
        alpha: Parameter of the symmetric Beta distribution of the share, above 0.
        n_classes: Number of classes C.

    Returns:
        The mixed images and float32 (B, C) target probabilities.
    """
    transform = (v2.MixUp if kind == "mixup" else v2.CutMix)(alpha=alpha, num_classes=n_classes)
    # torchvision draws from the host's global generator; torch.manual_seed would reseed the device's as well.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(uniforms[0, Column.MIX].item() * 2**24))
        mixed, probabilities = transform(images, targets)
    return mixed, probabilities
