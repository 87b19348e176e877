"""Random erasing (Zhong et al., 2020): a rectangle of an image loses its picture."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from pets.settings import augment as settings


class RandomErasing(settings.RandomErasing):
    """Fill a random rectangle with grey, as torchvision's RandomErasing does, for all images at once on the device.

    The area is uniform between `min_area` and `max_area` of the image. The logarithm of height / width is uniform
    between -log(max_ratio) and log(max_ratio), as far as a rectangle of that area fits; torchvision draws both again
    until one fits. Mid-grey is about the mean of photographs, as 0 is for torchvision, which erases after normalising.

    Raises:
        ValueError: A setting is out of its range.
    """

    n_uniforms: ClassVar[int] = 5
    """Whether, area, ratio, and the place in both directions."""

    def __call__(self, images: Tensor, uniforms: Tensor) -> Tensor:
        """Return float32 (B, 3, s, s) images, some with a grey rectangle."""
        top, left, height, width = (edge.view(-1, 1) for edge in self.rectangles(uniforms, images.shape[-1]))
        pixels = torch.arange(images.shape[-1], device=images.device)
        rows = (pixels >= top) & (pixels < top + height)
        columns = (pixels >= left) & (pixels < left + width)
        inside = rows[:, None, :, None] & columns[:, None, None, :]
        return torch.where(inside, self.value, images)

    def rectangles(self, uniforms: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return top, left, height and width in pixels, each float32 (B,) of whole numbers; height 0 for no rectangle.

        Args:
            uniforms: float32 (B, 5) in [0, 1).
            side: Side of the images in pixels.
        """
        happens, area, ratio, y, x = uniforms.unbind(1)
        area = self.min_area + (self.max_area - self.min_area) * area
        most = (-area.log()).clamp(max=math.log(self.max_ratio))
        ratio = ((2 * ratio - 1) * most).exp()
        height = ((area * ratio).sqrt() * side).round()
        width = ((area / ratio).sqrt() * side).round()
        top, left = (y * (side - height + 1)).floor(), (x * (side - width + 1)).floor()
        return top, left, torch.where(happens < self.p, height, 0.0), width
