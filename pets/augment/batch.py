"""The batch transform: from uint8 squares to float images in [0, 1], on the device, augmented or not."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pets.augment import geometry, lighting
from pets.augment.mix import mix_batch
from pets.data.batch import Batch

_RANGES = {
    "min_scale": (0.01, 1.0),
    "p_flip": (0.0, 1.0),
    "max_rotate": (0.0, 180.0),
    "max_zoom": (1.0, 10.0),
    "max_warp": (0.0, 0.3),
    "p_affine": (0.0, 1.0),
    "max_lighting": (0.0, 0.9),
    "p_lighting": (0.0, 1.0),
    "mix_alpha": (0.01, 100.0),
}


class Parameters(NamedTuple):
    """All that was sampled for a batch; the same parameters applied again give the same pixels."""

    geometry: geometry.Geometry
    lighting: lighting.Lighting


@dataclass(frozen=True, kw_only=True)
class BatchTransform:
    """Augments a training batch, image by image; resizes an evaluation batch.

    The defaults are those of fastai's `aug_transforms(size=224, min_scale=0.75)`.

    Raises:
        ValueError: A setting is out of its range.
    """

    size: int = 224
    """Side of the images given to the model, in pixels."""
    min_scale: float = 0.75
    """Smallest area of the random crop, as a fraction of the square."""
    p_flip: float = 0.5
    """Probability of a horizontal flip."""
    max_rotate: float = 10.0
    """Largest rotation to either side, in degrees."""
    max_zoom: float = 1.1
    """Largest magnification."""
    max_warp: float = 0.2
    """Largest perspective distortion to either side, as a fraction of an edge."""
    p_affine: float = 0.75
    """Probability of rotation, zoom, horizontal and vertical warp, each on its own."""
    max_lighting: float = 0.2
    """Strength of brightness and contrast changes."""
    p_lighting: float = 0.75
    """Probability of brightness and contrast, each on its own."""
    supersample: int = 1
    """Points read along each axis of an output pixel: 2 is sharper and slower."""
    mix: Literal["none", "mixup", "cutmix"] = "none"
    """Whether a training batch is mixed with itself."""
    mix_alpha: float = 0.4
    """Parameter of the Beta distribution of the mixing share."""

    def __post_init__(self) -> None:
        for key, (low, high) in _RANGES.items():
            _check(key, getattr(self, key), _is_number(getattr(self, key), low, high), f"a number from {low} to {high}")
        _check("size", self.size, type(self.size) is int and self.size >= 1, "a whole number of pixels, 1 or more")
        _check("supersample", self.supersample, type(self.supersample) is int and self.supersample in (1, 2), "1 or 2")
        _check("mix", self.mix, self.mix in ("none", "mixup", "cutmix"), "none, mixup or cutmix")

    def sample_params(self, uniforms: Tensor) -> Parameters:
        """Map float32 (B, N_UNIFORMS) uniform numbers to the parameters of B images."""
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
            ValueError: The images are not uint8, or `mix` is on without `n_classes`.
        """
        images = self.apply(batch.images, batch.sides, self.sample_params(batch.uniforms))
        if self.mix == "none":
            return batch._replace(images=images)
        if n_classes is None:
            raise ValueError(f"augment.mix={self.mix} needs the number of classes: call train(batch, n_classes)")
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
        raise ValueError(f"the batch transform takes uint8 images, got {images.dtype}: were they transformed twice?")


def _is_number(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _check(key: str, value: object, allowed: bool, rule: str) -> None:
    if not allowed:
        raise ValueError(f"augment.{key}={value!r}: allowed is {rule}")
