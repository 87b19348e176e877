"""Pictures to look at before training: fastai's `show_batch`, and the same image augmented many times."""

from matplotlib.figure import Figure
from torch import Tensor

from pets.data.batch import Request
from pets.data.datamodule import ImageDataModule
from pets.data.dataset import Sample, collate
from pets.data.sampler import SeededSampler
from pets.evaluation.figures.grids import augmentation_grid, image_grid


def first_samples(data: ImageDataModule, n: int) -> list[Sample]:
    """Return the first `n` samples that epoch 0 trains on."""
    dataset = data.dataset("train", training=True, cached=False)
    draws = iter(SeededSampler(len(dataset), data.seed, shuffle=True))
    return [dataset[next(draws)] for _ in range(min(n, len(dataset)))]


def on_canvas(canvas: Tensor, side: Tensor) -> Tensor:
    """Return what a canvas holds: the square of `side` pixels at its top left."""
    return canvas[:, : int(side), : int(side)]


def show_batch(data: ImageDataModule, n: int = 9) -> Figure:
    """Draw the first `n` training images as the network gets them, under their labels."""
    batch = collate(first_samples(data, n))
    return image_grid(data.augment(batch).images, [data.vocab[target] for target in batch.targets.tolist()])


def before_and_after(data: ImageDataModule, n: int = 3) -> Figure:
    """Draw the first `n` training images presized and augmented, a pair a row: readable as a thumbnail."""
    batch = collate(first_samples(data, n))
    labels = [data.vocab[target] for target in batch.targets.tolist()]
    presized = [on_canvas(*pair) for pair in zip(batch.images, batch.sides, strict=True)]
    images = [image for pair in zip(presized, data.augment(batch).images, strict=True) for image in pair]
    return image_grid(images, [title for label in labels for title in (label, "augmented")], columns=2)


def augmentations(data: ImageDataModule, n: int = 11) -> Figure:
    """Draw the first training image and `n` augmented views of it: what the first `n` epochs make of it."""
    dataset = data.dataset("train", training=True, cached=False)
    plain = data.dataset("train", cached=False)[Request(0, 0)]
    batch = collate([dataset[Request(epoch, 0)] for epoch in range(n)])
    heading = f"{data.vocab[plain.target]} ({data.table.files[plain.row]})"
    return augmentation_grid(on_canvas(plain.image, plain.side), data.augment(batch).images, heading)
