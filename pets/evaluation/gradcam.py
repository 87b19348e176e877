"""Where the network looked: Grad-CAM on the last feature map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from pets.evaluation.predictions import evaluating

if TYPE_CHECKING:
    from pets.model.network import Network


def gradcam(classifier: Network, images: Tensor) -> Tensor:
    """Return how much each place of each image speaks for the class predicted for it, rather than for the others.

    The classifier keeps its mode, and its parameters neither receive nor lose gradients.
    Source: Selvaraju et al. (2017), Grad-CAM: visual explanations from deep networks via gradient-based localization.

    Args:
        classifier: Any classifier whose `head` maps its `feature_map` (B, F, h, w) to logits.
        images: float32 (B, 3, H, W) in [0, 1], on the classifier's device.

    Returns:
        float32 (B, H, W) in [0, 1]; the strongest place of an image is 1, and an image without any is 0 throughout.
    """
    with evaluating(classifier):
        with torch.no_grad():
            features = classifier.feature_map(images)
        with torch.enable_grad():
            features = features.float().requires_grad_()
            logits = classifier.head(features)
            # Moving all logits alike changes no softmax, but would decide which places count as evidence.
            margins = logits.amax(dim=1) - logits.mean(dim=1)
            (gradient,) = torch.autograd.grad(margins.sum(), features)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    if features.shape[2:] != (1, 1):
        # A class token is laid out over the whole map: channels that are the same everywhere say nothing of where.
        weights = weights * (features != features[:, :, :1, :1]).any(dim=3, keepdim=True).any(dim=2, keepdim=True)
    heat = (weights * features.detach()).sum(dim=1, keepdim=True).relu()
    heat = interpolate(heat, size=images.shape[-2:], mode="bilinear", align_corners=False).squeeze(1)
    return heat / heat.amax(dim=(1, 2), keepdim=True).clamp_min(torch.finfo(heat.dtype).tiny)
