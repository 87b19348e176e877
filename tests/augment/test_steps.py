"""Steps: uniforms in, pixels out, the same for an image in any batch and for any number of workers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from hydra.utils import instantiate
from torch import Tensor
from torch.testing import assert_close

from pets.augment.batch import BatchTransform
from pets.augment.erasing import RandomErasing
from pets.augment.steps import Step, apply_steps, width
from pets.augment.trivial import TrivialAugment
from pets.data.batch import N_UNIFORMS, Batch
from pets.data.datamodule import ImageDataModule
from pets.data.labels import RegexLabeller
from pets.data.presize import Presize
from pets.data.sources.folder import ImageFolder
from pets.data.splits import SplitRule

PAIR = (TrivialAugment(), RandomErasing(p=0.5))


@dataclass(frozen=True)
class Grey:
    """The step of CONTRIBUTING.md."""

    p: float = 0.5
    n_uniforms: ClassVar[int] = 1

    def __call__(self, images: Tensor, uniforms: Tensor) -> Tensor:
        grey = uniforms < self.p
        return torch.where(grey.view(-1, 1, 1, 1), images.mean(dim=1, keepdim=True), images)


def make_batch(n: int = 6, more: int = 0) -> Batch:
    rng = torch.Generator().manual_seed(0)
    return Batch(
        images=torch.randint(0, 256, (n, 3, 40, 40), dtype=torch.uint8, generator=rng),
        targets=torch.arange(n) % 3,
        indices=torch.arange(n),
        sides=torch.full((n,), 40.0),
        uniforms=torch.rand(n, N_UNIFORMS + more, generator=rng),
        padding=torch.zeros(n, dtype=torch.bool),
    )


def test_without_steps_nothing_changes() -> None:
    batch = make_batch(more=9)
    with_numbers = BatchTransform(size=32).train(batch).images
    assert torch.equal(
        with_numbers, BatchTransform(size=32).train(batch._replace(uniforms=batch.uniforms[:, :N_UNIFORMS])).images
    )
    assert BatchTransform().n_uniforms == N_UNIFORMS


def test_each_step_takes_the_next_columns_and_sees_what_the_one_before_made() -> None:
    batch = make_batch(more=width(PAIR))
    plain, numbers = BatchTransform(size=32).train(batch).images, batch.uniforms[:, N_UNIFORMS:]
    expected = PAIR[1](PAIR[0](plain, numbers[:, :3]), numbers[:, 3:])
    transform = BatchTransform(size=32, steps=PAIR)
    assert transform.n_uniforms == N_UNIFORMS + 8
    assert torch.equal(transform.train(batch).images, expected)


def test_a_step_more_at_the_end_leaves_the_others() -> None:
    batch = make_batch(more=9)
    one = BatchTransform(size=32, steps=[Grey()])
    two = BatchTransform(size=32, steps=[Grey(), RandomErasing(p=0)])
    assert torch.equal(one.train(batch).images, two.train(batch).images)


@pytest.mark.parametrize("steps", [(RandomErasing(p=1),), (TrivialAugment(),), PAIR], ids=str)
def test_an_image_does_not_depend_on_the_rest_of_the_batch(steps: tuple[Step, ...]) -> None:
    batch, transform = make_batch(8, more=width(steps)), BatchTransform(size=32, steps=steps)
    together = transform.train(batch).images
    for chosen in (torch.tensor([5]), torch.tensor([7, 0, 3])):
        alone = transform.train(Batch(*(field[chosen] for field in batch))).images
        assert_close(alone, together[chosen], atol=1e-5, rtol=0)


def test_steps_come_before_mixing_and_are_not_for_evaluation() -> None:
    batch = make_batch(more=8)
    mixed = BatchTransform(size=32, steps=PAIR, mix="mixup").train(batch, 3)
    assert mixed.targets.shape == (6, 3)
    assert torch.equal(
        BatchTransform(size=32, steps=PAIR).evaluate(batch).images, BatchTransform(size=32).evaluate(batch).images
    )


def test_steps_leave_their_input_alone() -> None:
    images, uniforms = torch.rand(4, 3, 16, 16), torch.rand(4, 8)
    before = images.clone()
    apply_steps(PAIR, images, uniforms)
    assert torch.equal(images, before)


def data_module(root: Path, **options: Any) -> ImageDataModule:
    options = {"batch_size": 5, "num_workers": 0} | options
    return ImageDataModule(
        ImageFolder(root),
        RegexLabeller(),
        SplitRule(),
        BatchTransform(size=16, steps=PAIR),
        presize=Presize(20),
        **options,
    )


def test_the_pixels_of_an_epoch_are_the_same_for_any_number_of_workers_and_size_of_batch(tiny_pets: Path) -> None:
    epochs = []
    for options in ({}, {"num_workers": 2}, {"batch_size": 3}):
        data = data_module(tiny_pets, **options)
        data.setup()
        pixels: dict[int, Tensor] = {}
        for raw in data.loader("train", training=True, epoch=1):
            batch = data.augment(Batch(*raw))
            pixels |= dict(zip(batch.indices.tolist(), batch.images, strict=True))
        epochs.append(torch.stack([pixels[index] for index in sorted(pixels)]))
    assert torch.equal(epochs[0], epochs[1])
    assert_close(epochs[0], epochs[2], atol=1e-5, rtol=0)
    assert not torch.equal(epochs[0], torch.zeros_like(epochs[0]))


def test_a_list_in_the_configuration_becomes_steps() -> None:
    step = {"_target_": "pets.augment.erasing.RandomErasing", "p": 0.25}
    node = {"_target_": "pets.augment.batch.BatchTransform", "steps": [step]}
    transform = instantiate(node, _convert_="all")
    assert transform.steps[0].p == 0.25
    assert transform == BatchTransform(steps=[RandomErasing(p=0.25)])


def test_a_name_without_its_class_is_refused_with_an_example() -> None:
    with pytest.raises(ValueError, match=r"^augment\.steps\[1\]='Erase' is not allowed: \{_target_: pets\..*p: 0\.5\}"):
        BatchTransform(steps=[Grey(), "Erase"])
    with pytest.raises(ValueError, match=r"^augment\.steps\[0\]=<function .*> is not allowed"):
        BatchTransform(steps=[lambda images: images])


def test_a_batch_with_too_few_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match=r"augment\.steps take 8 uniform numbers an image, the batch has 0"):
        BatchTransform(steps=PAIR).train(make_batch())


def test_a_step_that_changes_the_shape_or_the_type_is_named() -> None:
    class Double(Grey):
        def __call__(self, images: Tensor, uniforms: Tensor) -> Tensor:
            return images.double()

    with pytest.raises(
        ValueError, match=r"augment\.steps\[1\], Double, made torch\.float64 \(6, 3, 32, 32\) of torch\.float32"
    ):
        BatchTransform(size=32, steps=[Grey(), Double()]).train(make_batch(more=2))
