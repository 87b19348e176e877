"""Further steps of the augmentation: objects that map uniform numbers and pixels to pixels."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from pets.errors import UserError


class Step(Protocol):
    """One step, such as `RandomErasing` or a class of your own: a pure function, image by image, of its arguments.

    The numbers depend on the seed, the epoch and the image alone, so a step that draws nothing else is the same for any
    number of workers, in any batch and after a resume.
    """

    @property
    def n_uniforms(self) -> int:
        """Uniform numbers that the step takes for each image, 0 or more."""

    def __call__(self, images: Tensor, uniforms: Tensor) -> Tensor:
        """Return float32 (B, 3, s, s) images in [0, 1], computed on the device they are on; the given ones stay.

        Args:
            images: float32 (B, 3, s, s) in [0, 1], sampled and lit.
            uniforms: float32 (B, n_uniforms) in [0, 1).
        """


def width(steps: Sequence[Step]) -> int:
    """Return how many uniform numbers some steps take together."""
    return sum(step.n_uniforms for step in steps)


def apply_steps(steps: Sequence[Step], images: Tensor, uniforms: Tensor) -> Tensor:
    """Apply steps one after the other; each takes the next columns of the uniforms.

    Args:
        steps: The steps.
        images: float32 (B, 3, s, s) in [0, 1].
        uniforms: float32 (B, n) in [0, 1) with n at least `width(steps)`.

    Raises:
        ValueError: There are too few uniforms, or a step returns another shape or type.
    """
    if uniforms.shape[1] < (needed := width(steps)):
        raise UserError(f"augment.steps take {needed} uniform numbers an image, the batch has {uniforms.shape[1]}")
    first = 0
    for place, step in enumerate(steps):
        changed = step(images, uniforms[:, first : first + step.n_uniforms])
        if (changed.shape, changed.dtype) != (images.shape, images.dtype):
            raise UserError(
                f"augment.steps[{place}], {type(step).__name__}, made {changed.dtype} {tuple(changed.shape)} "
                f"of {images.dtype} {tuple(images.shape)}"
            )
        images, first = changed, first + step.n_uniforms
    return images
