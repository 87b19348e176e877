"""Native presizing: the pixels are read once, straight from the decoded image, and nothing beside it is read."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pets.augment.batch import BatchTransform, evaluate_images
from pets.data.batch import Batch, Request
from pets.data.dataset import ImageDataset, collate
from pets.data.image_table import ImageTable
from pets.data.images import open_image
from pets.data.labels import Vocab
from pets.data.presize import Presize
from tests.augment.test_geometry import step_by_step

CANVAS = 56
NATIVE = Presize(CANVAS, "native")


@pytest.fixture
def items(tiny_pets: Path) -> ImageTable:
    files = sorted(path.name for path in tiny_pets.iterdir())
    return ImageTable(tiny_pets, np.array(files), np.zeros(len(files), np.int64), Vocab(["pug"]))


def batch_of(items: ImageTable, training: bool) -> Batch:
    dataset = ImageDataset(items, np.arange(len(items)), NATIVE, training=training)
    return collate([dataset[Request(0, index)] for index in range(len(items))])


def with_filler(batch: Batch, value: int) -> Batch:
    images = torch.full_like(batch.images, value)
    for canvas, filled, side in zip(batch.images, images, batch.sides.int().tolist(), strict=True):
        filled[:, :side, :side] = canvas[:, :side, :side]
    return batch._replace(images=images)


def test_the_square_holds_the_decoded_pixels(items: ImageTable) -> None:
    batch = batch_of(items, training=True)
    assert len(batch.sides.unique()) > 4
    untouched = 0
    for index, (canvas, side) in enumerate(zip(batch.images, batch.sides.int().tolist(), strict=True)):
        image = open_image(items.path(index))
        height, width = image.shape[1:]
        assert side == min(CANVAS, height, width)
        assert not canvas[:, side:].any()
        assert not canvas[:, :, side:].any()
        if min(height, width) <= CANVAS:
            untouched += 1
            u = float(batch.uniforms[index, 0])
            top, left = int(u * (height - side + 1)), int(u * (width - side + 1))
            assert torch.equal(canvas[:, :side, :side], image[:, top : top + side, left : left + side])
    assert untouched > 10


def test_a_training_image_is_the_decoded_pixels_transformed_step_by_step(items: ImageTable) -> None:
    batch = batch_of(items, training=True)
    transform = BatchTransform(size=20, max_rotate=40.0, max_warp=0.3, p_affine=1.0, p_lighting=0.0)
    images = transform.train(batch).images
    geometry = transform.sample_params(batch.uniforms).geometry
    for index in range(0, len(items), 5):
        side = int(batch.sides[index])
        pixels = batch.images[index, :, :side, :side].numpy().astype(float)
        values = {name: float(column[index]) for name, column in geometry._asdict().items()}
        np.testing.assert_allclose(images[index].numpy(), step_by_step(pixels, values, 20), atol=2e-4)


def test_an_evaluation_image_is_the_decoded_pixels_resized(items: ImageTable) -> None:
    batch = batch_of(items, training=False)
    images = BatchTransform(size=32).evaluate(batch).images
    for image, canvas, side in zip(images, batch.images, batch.sides, strict=True):
        alone = canvas[None, :, : int(side), : int(side)].contiguous()
        assert torch.equal(image, evaluate_images(alone, side[None], 32)[0])


def test_what_lies_beside_the_square_never_shines_in(items: ImageTable) -> None:
    wild = BatchTransform(size=32, max_rotate=180.0, max_warp=0.3, p_affine=1.0, supersample=2)
    for transform, training in ((wild.train, True), (wild.evaluate, False)):
        batch = batch_of(items, training)
        black, white = (transform(with_filler(batch, value)).images for value in (0, 255))
        assert torch.equal(black, white)


def test_supersampling_and_large_canvases_are_no_exception(items: ImageTable) -> None:
    wild = BatchTransform(size=8, max_rotate=180.0, max_warp=0.3, p_affine=1.0)  # several points an output pixel
    batch = batch_of(items, training=True)
    black, white = (wild.train(with_filler(batch, value)).images for value in (0, 255))
    assert torch.equal(black, white)
