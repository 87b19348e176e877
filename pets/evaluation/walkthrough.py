"""The steps from a file to a loss, which `task=inspect` prints; after fastai's `DataBlock.summary`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from pets.data.batch import Batch
from pets.data.datamodule import ImageDataModule
from pets.data.dataset import Sample, collate
from pets.data.images import open_image
from pets.errors import UserError
from pets.evaluation.figures.batches import first_samples
from pets.model.classifier import Classifier

Step = tuple[str, str]
"""The name of a step, and the type, shape and range of what it gives."""


def describe(value: Any) -> str:
    """Return dtype, shape and range of a tensor, or the value as text.

    >>> describe(torch.tensor([[0, 255]], dtype=torch.uint8))
    'uint8 (1, 2), 0 to 255'
    """
    if not isinstance(value, Tensor):
        return str(value)
    shape = f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    low, high = value.min().item(), value.max().item()
    return f"{shape}, {low:g} to {high:g}" if not value.is_floating_point() else f"{shape}, {low:.3f} to {high:.3f}"


def summary(data: ImageDataModule, model: Classifier, n: int = 4) -> Iterator[Step]:
    """Yield the steps of the first training image, then those of the first `n` as a batch, as training takes them.

    Raises:
        ValueError: A step fails; the message names the step and the images.
    """
    samples = first_samples(data, n)
    names = [str(data.table.files[sample.row]) for sample in samples]
    first = samples[0]
    yield "file", str(data.table.path(first.row))
    yield "label", f"{data.vocab[first.target]}, class {first.target} of {len(data.vocab)}"
    yield "open_image", describe(open_image(data.table.path(first.row)))
    yield repr(data.presize), describe(first.image)
    batch = stack(samples, names)
    yield f"collate {len(samples)}", f"images {describe(batch.images)}; targets {describe(batch.targets)}"
    with torch.no_grad(), _naming(names):
        yield from _device_steps(data, model, Batch(*(field.to(model.device) for field in batch)))


def _device_steps(data: ImageDataModule, model: Classifier, batch: Batch) -> Iterator[Step]:
    batch = data.augment(batch)
    yield repr(data.batch_transform), f"images {describe(batch.images)}; targets {describe(batch.targets)}"
    yield "normalise", describe((batch.images - model.mean) / model.std)
    features = model.feature_map(batch.images)
    yield f"backbone {model.backbone.arch}", describe(features)
    logits = model.head(features)
    yield f"head {model.head_options['kind']}", describe(logits)
    yield f"loss {model.loss.spec()['kind']}", describe(model.loss(logits, batch.targets))


def stack(samples: list[Sample], names: list[str]) -> Batch:
    """Collate samples.

    Raises:
        ValueError: Their images differ in shape; the message lists shapes and files, and what to change.
    """
    shapes = {tuple(sample.image.shape): name for sample, name in zip(samples, names, strict=True)}
    if len(shapes) > 1:
        found = ", ".join(f"{shape} ({name})" for shape, name in shapes.items())
        raise UserError(f"images of different shapes cannot form a batch: {found}; set data.presize to one size")
    return collate(samples)


@contextmanager
def _naming(names: list[str]) -> Iterator[None]:
    """Name the images of the batch in whatever goes wrong with it."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise UserError(f"the batch of {', '.join(names)} fails: {error}") from error
