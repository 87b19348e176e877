"""The summary of the pipeline names every step with what it gives, and the images with which a step fails."""

from pathlib import Path

import pytest
import torch

from pets.augment.batch import BatchTransform
from pets.data.batch import N_UNIFORMS
from pets.data.datamodule import ImageDataModule
from pets.data.dataset import Sample
from pets.data.labels import RegexLabeller
from pets.data.presize import Presize
from pets.data.sources.folder import ImageFolder
from pets.data.splits import SplitRule
from pets.evaluation.figures.batches import augmentations, before_and_after, on_canvas, show_batch
from pets.evaluation.walkthrough import describe, stack, summary
from pets.model.classifier import Classifier


@pytest.fixture
def data(tiny_pets: Path) -> ImageDataModule:
    module = ImageDataModule(
        ImageFolder(tiny_pets),
        RegexLabeller(),
        SplitRule(),
        BatchTransform(size=32),
        presize=Presize(48),
        num_workers=0,
    )
    module.setup()
    return module


def test_a_native_square_is_shown_without_the_rest_of_its_canvas() -> None:
    canvas = torch.arange(48 * 48 * 3).view(3, 48, 48)
    assert torch.equal(on_canvas(canvas, torch.tensor(30.0)), canvas[:, :30, :30])
    assert torch.equal(on_canvas(canvas, torch.tensor(48.0)), canvas)


def sample(size: int) -> Sample:
    return Sample(
        torch.zeros(3, size, size, dtype=torch.uint8), 0, 0, torch.tensor(float(size)), torch.zeros(N_UNIFORMS), False
    )


def test_every_step_with_its_shape(data: ImageDataModule) -> None:
    steps = dict(summary(data, Classifier("resnet18", classes=data.vocab, weights=None)))
    assert list(steps)[:3] == ["file", "label", "open_image"]
    assert steps[repr(Presize(48))].startswith("uint8 (3, 48, 48)")
    assert steps["collate 4"].startswith("images uint8 (4, 3, 48, 48)")
    assert steps["normalise"].startswith("float32 (4, 3, 32, 32)")
    assert steps["backbone resnet18"].startswith("float32 (4, 512, 1, 1)")
    assert steps["head concat_pool"].startswith("float32 (4, 3)")


def test_images_of_two_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(3, 4, 4\) \(a\.jpg\), \(3, 5, 5\) \(b\.jpg\); set data\.presize"):
        stack([sample(4), sample(5)], ["a.jpg", "b.jpg"])


def test_a_failing_step_names_its_images(data: ImageDataModule) -> None:
    model = Classifier("resnet18", classes=data.vocab, weights=None)
    model.head = torch.nn.Linear(7, 3)  # type: ignore[assignment]
    with pytest.raises(ValueError, match=r"^the batch of \S+\.jpg, .* fails: "):
        list(summary(data, model))


def test_describe() -> None:
    assert describe(torch.tensor([[0, 255]], dtype=torch.uint8)) == "uint8 (1, 2), 0 to 255"
    assert describe(torch.tensor([0.25, 1.0])) == "float32 (2,), 0.250 to 1.000"
    assert describe("pug") == "pug"


def test_the_pictures_show_what_training_sees(data: ImageDataModule) -> None:
    titles = [axes.get_title() for axes in show_batch(data, 4).axes]
    assert len(titles) == 4
    assert set(titles) <= set(data.vocab)
    titles = [axes.get_title() for axes in before_and_after(data, 3).axes]
    assert set(titles[::2]) <= set(data.vocab)
    assert titles[1::2] == ["augmented"] * 3
    assert len(augmentations(data, 5).axes) == 6
