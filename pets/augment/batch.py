"""The batch transform: from uint8 squares to float images in [0, 1], on the device, augmented or not."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pets.augment import geometry, lighting
from pets.augment.mix import mix_batch
from pets.augment.steps import apply_steps, width
from pets.data.batch import N_UNIFORMS, Batch
from pets.errors import UserError
from pets.settings.augment import Augment


class Parameters(NamedTuple):
    """All that was sampled for a batch; the same parameters applied again give the same pixels."""

    geometry: geometry.Geometry
    lighting: lighting.Lighting


class BatchTransform(Augment):
    """Augments a training batch, image by image; resizes an evaluation batch.

    The settings, and their defaults, are those of `pets.settings.augment.Augment`.

    Raises:
        UserError: A setting is out of its range.
    """

    @property
    def n_uniforms(self) -> int:
        """Uniform numbers of an image: those of `Column`, then those of the steps, in their order."""
        return N_UNIFORMS + width(self.steps)

    def sample_params(self, uniforms: Tensor) -> Parameters:
        """Map float32 (B, N_UNIFORMS or more) uniform numbers to the parameters of B images."""
        return Parameters(
            geometry.sample_params(
                uniforms,
                min_scale=self.min_scale,
                p_flip=self.p_flip,
                max_rotate=self.max_rotate,
                max_zoom=self.max_zoom,
                max_warp=self.max_warp,
                p_affine=self.p_affine,
            ),
            lighting.sample_params(uniforms, max_lighting=self.max_lighting, p_lighting=self.p_lighting),
        )

    def apply(self, images: Tensor, sides: Tensor, parameters: Parameters) -> Tensor:
        """Sample and light uint8 (B, 3, S, S) squares of the given sides into float32 (B, 3, size, size) in [0, 1].

        Raises:
            ValueError: The images are not uint8.
        """
        _require_uint8(images)
        # A CPU is several times faster when the float canvas of a block, an image a thread, stays in its cache.
        block = torch.get_num_threads() if images.device.type == "cpu" else len(images)
        inputs = (images, sides, geometry.homography(parameters.geometry), *parameters.lighting)
        shape = (len(images), 3, self.size, self.size)
        output = torch.empty(shape, device=images.device, memory_format=torch.channels_last)
        for out, pixels, side, matrices, brightness, contrast in zip(
            *(torch.split(x, block) for x in (output, *inputs)), strict=True
        ):
            sampled = geometry.resample(pixels, side, matrices, self.size, self.supersample)
            out.copy_(lighting.adjust_(sampled, lighting.Lighting(brightness, contrast)))
        return output

    def train(self, batch: Batch, n_classes: int | None = None) -> Batch:
        """Augment a batch as its own uniforms decide.

        Args:
            batch: A collated batch of uint8 images.
            n_classes: Number of classes C; needed when `mix` is on, whose targets are float32 (B, C).

        Raises:
            ValueError: The images are not uint8, there are too few uniforms for the steps, or `mix` is on without
                `n_classes`.
        """
        images = self.apply(batch.images, batch.sides, self.sample_params(batch.uniforms))
        images = apply_steps(self.steps, images, batch.uniforms[:, N_UNIFORMS:])
        if self.mix == "none":
            return batch._replace(images=images)
        if n_classes is None:
            raise UserError(f"augment.mix={self.mix} needs the number of classes: call train(batch, n_classes)")
        images, targets = mix_batch(
            images, batch.targets, batch.uniforms, kind=self.mix, alpha=self.mix_alpha, n_classes=n_classes
        )
        return batch._replace(images=images, targets=targets)

    def evaluate(self, batch: Batch) -> Batch:
        """Resize a batch without augmentation, the same in validation, test and prediction."""
        return batch._replace(images=evaluate_images(batch.images, batch.sides, self.size))


def evaluate_images(images: Tensor, sides: Tensor, size: int) -> Tensor:
    """Resize the valid squares, with antialiasing, to float32 (B, 3, size, size) in [0, 1].

    Squares of equal side are resized together, so natively presized batches take one pass for each side among them.

    Args:
        images: uint8 (B, 3, S, S).
        sides: float32 (B,) side in pixels of the valid square at the top left.
        size: Side of the result in pixels.

    Raises:
        ValueError: The images are not uint8.
    """
    _require_uint8(images)
    distinct = [int(side) for side in torch.unique(sides).tolist()]
    if distinct == [images.shape[-1]]:
        return _resize(images, size)
    resized = torch.empty(len(images), 3, size, size, device=images.device)
    for side in distinct:
        chosen = sides == side
        resized[chosen] = _resize(images[chosen][:, :, :side, :side], size)
    return resized


def _resize(images: Tensor, size: int) -> Tensor:
    """Resize uint8 images to float32 in [0, 1], rounded to whole grey levels as Pillow does."""
    # On a CPU the uint8 kernel is five times faster than the float one; other devices have the float one only.
    if images.device.type != "cpu":
        images = images.float()
    pixels = F.interpolate(images, size=(size, size), mode="bilinear", antialias=True)
    return pixels.float().round_().div_(255)


def _require_uint8(images: Tensor) -> None:
    if images.dtype != torch.uint8:
        raise UserError(f"the batch transform takes uint8 images, got {images.dtype}: were they transformed twice?")
