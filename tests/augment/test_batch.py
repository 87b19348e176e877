"""The batch transform: settings, what decides the pixels, and agreement of training, evaluation and Pillow."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig
from PIL import Image
from torch.testing import assert_close

from pets.augment.batch import BatchTransform, evaluate_images
from pets.data.batch import N_UNIFORMS, Batch

CONF = Path(__file__).parents[2] / "conf"
NEUTRAL: dict[str, Any] = {"min_scale": 1.0, "p_flip": 0.0, "p_affine": 0.0, "p_lighting": 0.0}


def scene(side: int) -> torch.Tensor:
    """uint8 (3, side, side) with broad shapes and soft edges, as a photograph has once it is presized."""
    x, y = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side))
    disc = 1 / (1 + np.exp(40 * (np.hypot(x + 0.2, y - 0.1) - 0.5)))
    waves = 0.5 + 0.5 * np.sin(9 * x + 4 * y)
    planes = np.stack([disc, 0.7 * waves + 0.3 * disc, 0.5 + 0.5 * x * y])
    return torch.from_numpy((255 * planes).round().astype(np.uint8))


def make_batch(images: torch.Tensor, seed: int = 0, side: int | None = None) -> Batch:
    n = len(images)
    return Batch(
        images=images,
        targets=torch.arange(n) % 3,
        indices=torch.arange(n),
        sides=torch.full((n,), float(side or images.shape[-1])),
        uniforms=torch.rand(n, N_UNIFORMS, generator=torch.Generator().manual_seed(seed)),
        padding=torch.zeros(n, dtype=torch.bool),
    )


def noise(n: int, side: int) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def take(batch: Batch, chosen: torch.Tensor) -> Batch:
    return Batch(*(field[chosen] for field in batch))


# --- settings


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("size", 0),
        ("size", 224.5),
        ("size", True),
        ("min_scale", 0.0),
        ("min_scale", 1.2),
        ("p_flip", -0.1),
        ("p_flip", "often"),
        ("max_rotate", 181),
        ("max_zoom", 0.9),
        ("max_warp", 0.4),
        ("p_affine", float("nan")),
        ("max_lighting", 1.0),
        ("p_lighting", True),
        ("supersample", 3),
        ("mix", "cutout"),
        ("mix_alpha", 0.0),
    ],
)
def test_a_bad_setting_is_named_with_its_value_and_what_is_allowed(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^augment\.{key}={value!r} is not allowed: ") as caught:
        BatchTransform(**{key: value})
    assert "\n" not in str(caught.value)


def test_repr_shows_the_settings() -> None:
    assert repr(BatchTransform(size=128)).startswith("BatchTransform(size=128, min_scale=0.75, p_flip=0.5,")


def composed(name: str) -> DictConfig:
    """Return a file of the group augment, with what it takes from another one."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=["run_dir=run", f"augment={name}"]).augment


def test_default_configuration_is_the_default() -> None:
    assert instantiate(composed("default")) == BatchTransform()


def test_configuration_none_changes_nothing() -> None:
    batch = make_batch(noise(4, 64))
    transform = instantiate(composed("none"), size=64)
    assert_close(transform.train(batch).images, batch.images / 255, atol=1e-5, rtol=0)


def test_configuration_strong_goes_further_than_default() -> None:
    numbers = make_batch(noise(256, 1)).uniforms
    strong, default = (
        instantiate(composed("strong")).sample_params(numbers),
        BatchTransform().sample_params(numbers),
    )
    assert strong.geometry.window.min() < default.geometry.window.min()
    for name in ("angle", "zoom", "warp_x", "warp_y"):
        assert getattr(strong.geometry, name).std() > 1.4 * getattr(default.geometry, name).std(), name
    assert strong.lighting.brightness.std() > 1.4 * default.lighting.brightness.std()


# --- what decides the pixels


def test_train_gives_float_images_in_range_and_keeps_the_rest() -> None:
    batch = make_batch(noise(6, 48))
    out = BatchTransform(size=32, max_lighting=0.9).train(batch)
    assert (out.images.shape, out.images.dtype) == ((6, 3, 32, 32), torch.float32)
    assert out.images.min() >= 0
    assert out.images.max() <= 1
    for name in ("targets", "indices", "sides", "uniforms", "padding"):
        assert getattr(out, name) is getattr(batch, name)


def test_identical_images_come_out_distinct() -> None:
    batch = make_batch(scene(48).expand(16, -1, -1, -1))
    images = BatchTransform(size=32).train(batch).images.flatten(1)
    assert (torch.cdist(images, images) + torch.eye(16) > 1e-2).all()


def test_uniforms_alone_decide() -> None:
    transform, batch = BatchTransform(size=32), make_batch(noise(4, 48))
    first = transform.train(batch).images
    torch.manual_seed(1)
    assert torch.equal(transform.train(batch).images, first)
    other = batch._replace(uniforms=make_batch(batch.images, seed=1).uniforms)
    assert not torch.equal(transform.train(other).images, first)


def test_an_image_does_not_depend_on_the_rest_of_the_batch() -> None:
    transform, batch = BatchTransform(size=32), make_batch(noise(8, 48))
    together = transform.train(batch).images
    for chosen in (torch.randperm(8, generator=torch.Generator().manual_seed(0)), torch.tensor([5]), torch.arange(3)):
        assert_close(transform.train(take(batch, chosen)).images, together[chosen], atol=1e-6, rtol=0)


def test_threads_do_not_matter() -> None:
    transform, batch = BatchTransform(size=32), make_batch(noise(5, 48))
    alone = transform.train(batch).images
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert_close(transform.train(batch).images, alone, atol=1e-6, rtol=0)
    finally:
        torch.set_num_threads(threads)


def test_parameters_replay() -> None:
    transform, batch = BatchTransform(size=32), make_batch(noise(4, 48))
    parameters = transform.sample_params(batch.uniforms)
    assert torch.equal(transform.apply(batch.images, batch.sides, parameters), transform.train(batch).images)


def test_inputs_are_left_as_they_were() -> None:
    batch = make_batch(noise(4, 48))
    before = [field.clone() for field in batch]
    BatchTransform(size=32).train(batch)
    BatchTransform(size=48).evaluate(batch)
    assert all(torch.equal(now, then) for now, then in zip(batch, before, strict=True))


def test_training_neither_leaves_the_device_nor_waits_for_it() -> None:
    batch = make_batch(noise(2, 48))
    on_meta = Batch(*(field.to("meta") for field in batch))
    # The meta device holds no values: reading one, or meeting a tensor of another device, raises.
    assert BatchTransform(size=32).train(on_meta).images.shape == (2, 3, 32, 32)


def test_autocast_does_not_lower_the_precision() -> None:
    transform, batch = BatchTransform(size=32), make_batch(noise(2, 48))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        lowered = transform.train(batch).images
    assert lowered.dtype == torch.float32
    assert torch.equal(lowered, transform.train(batch).images)


# --- training without augmentation equals evaluation


def test_neutral_training_equals_evaluation_when_nothing_is_resized() -> None:
    batch = make_batch(noise(4, 64))
    transform = BatchTransform(size=64, **NEUTRAL)
    assert_close(transform.train(batch).images, transform.evaluate(batch).images, atol=1e-5, rtol=0)


@pytest.mark.parametrize("supersample", [1, 2])
@pytest.mark.parametrize("side", [230, 180])
def test_neutral_training_is_close_to_evaluation_when_reducing(side: int, supersample: int) -> None:
    images = torch.zeros(2, 3, 230, 230, dtype=torch.uint8)
    images[:, :, :side, :side] = scene(side)
    batch = make_batch(images, side=side)
    transform = BatchTransform(size=112, supersample=supersample, **NEUTRAL)
    difference = transform.train(batch).images - transform.evaluate(batch).images
    assert difference.abs().max() < 4 / 255
    assert difference.square().mean().sqrt() < 0.75 / 255


# --- evaluation


@pytest.mark.parametrize(("side", "size"), [(97, 48), (97, 64), (40, 64), (64, 64)])
def test_evaluation_agrees_with_pillow(side: int, size: int) -> None:
    images = noise(2, side)
    ours = evaluate_images(images, torch.full((2,), float(side)), size)
    for image, result in zip(images, ours, strict=True):
        picture = Image.fromarray(image.permute(1, 2, 0).numpy())
        resized = np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
        assert np.abs(result.numpy() * 255 - resized).max() <= 1 + 1e-3


def test_evaluation_of_mixed_sides_is_that_of_each_square() -> None:
    images, sides = noise(4, 64), torch.tensor([64.0, 40.0, 33.0, 40.0])
    together = evaluate_images(images, sides, 48)
    for i, side in enumerate([64, 40, 33, 40]):
        alone = evaluate_images(images[i : i + 1, :, :side, :side], sides[i : i + 1], 48)
        assert_close(together[i], alone[0], atol=1e-6, rtol=0)


def test_evaluation_ignores_the_uniforms() -> None:
    batch = make_batch(noise(3, 48))
    transform = BatchTransform(size=32)
    other = batch._replace(uniforms=torch.zeros_like(batch.uniforms))
    assert torch.equal(transform.evaluate(batch).images, transform.evaluate(other).images)


def test_images_transformed_twice_are_refused() -> None:
    transform = BatchTransform(size=32)
    evaluated = transform.evaluate(make_batch(noise(2, 48)))
    for again in (transform.train, transform.evaluate):
        with pytest.raises(ValueError, match=r"takes uint8 images, got torch\.float32"):
            again(evaluated)


# --- mixing


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_mix_gives_soft_targets_in_training_only(kind: Literal["mixup", "cutmix"]) -> None:
    batch, transform = make_batch(noise(6, 48)), BatchTransform(size=32, mix=kind)
    out = transform.train(batch, n_classes=3)
    assert (out.targets.shape, out.targets.dtype) == ((6, 3), torch.float32)
    assert out.images.max() <= 1
    assert torch.equal(transform.evaluate(batch).targets, batch.targets)


def test_mix_without_the_number_of_classes_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"augment\.mix=mixup needs the number of classes"):
        BatchTransform(size=32, mix="mixup").train(make_batch(noise(2, 48)))
