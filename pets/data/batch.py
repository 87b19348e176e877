"""The fields of a sample and, stacked, of a batch, as they go from the dataset to the model."""

from dataclasses import Field
from typing import Any, ClassVar, NamedTuple, Protocol

from torch import Tensor

N_UNIFORMS = 24
"""Uniform numbers for one image in one epoch: the first places the presize square, the others augment.

Steps of `augment.steps` have theirs after these, so that a step more or less changes none of them."""


class Request(NamedTuple):
    """One request of the sampler. It carries the epoch, so that workers need no other message."""

    epoch: int
    place: int
    padding: bool = False
    repeat: int = 0
    """How often the item was requested before in this epoch: each time has random numbers of its own."""


class Batch(NamedTuple):
    """A batch of B images, before or after the batch transform."""

    images: Tensor
    """uint8 (B, 3, S, S) as collated; float32 (B, 3, s, s) in [0, 1] after the batch transform."""
    targets: Tensor
    """int64 (B,) class indices; float32 (B, C) class probabilities after mixup or cutmix."""
    indices: Tensor
    """int64 (B,) indices into the image table."""
    sides: Tensor
    """float32 (B,) side, in pixels, of the square at the top left of each canvas that holds the image."""
    uniforms: Tensor
    """float32 (B, N_UNIFORMS or more) uniform numbers in [0, 1) that decide the augmentation; zeros in evaluation."""
    padding: Tensor
    """bool (B,) true for items repeated only to give every process equally many batches: never counted."""


class BatchTransform(Protocol):
    """What turns a uint8 batch into a float batch, on the device: a dataclass, so that a copy can have another size."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def size(self) -> int:
        """Side of the images given to the model, in pixels."""

    @property
    def n_uniforms(self) -> int:
        """Uniform numbers that a training image needs, at least `N_UNIFORMS`."""

    def train(self, batch: Batch, n_classes: int | None = None) -> Batch:
        """Augment a batch as its uniforms decide."""

    def evaluate(self, batch: Batch) -> Batch:
        """Resize a batch."""
