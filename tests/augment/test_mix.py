"""Mixup and CutMix: targets follow the pixels, and the uniforms alone decide."""

from typing import Literal

import pytest
import torch

from pets.augment.mix import mix_batch
from pets.data.batch import N_UNIFORMS

Kind = Literal["mixup", "cutmix"]
KINDS = pytest.mark.parametrize("kind", ["mixup", "cutmix"])


def mixed(kind: Kind, seed: int = 0, n: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix images whose every pixel holds the image's own number, so that pixels tell the shares."""
    images = torch.arange(n, dtype=torch.float32).view(n, 1, 1, 1).expand(n, 3, 16, 16).contiguous()
    uniforms = torch.rand(n, N_UNIFORMS, generator=torch.Generator().manual_seed(seed))
    return mix_batch(images, torch.arange(n), uniforms, kind=kind, alpha=1.0, n_classes=n)


@KINDS
def test_targets_are_shares_of_the_pixels(kind: Kind) -> None:
    images, targets = mixed(kind)
    assert targets.dtype == torch.float32
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(6))
    assert ((targets > 0).sum(dim=1) == 2).all()
    torch.testing.assert_close(images.mean(dim=(1, 2, 3)), targets @ torch.arange(6.0))


def test_mixup_blends_every_pixel_and_cutmix_none() -> None:
    assert (mixed("mixup")[0].std(dim=(1, 2, 3)) < 1e-6).all()
    images, _ = mixed("cutmix")
    assert torch.equal(images, images.round())


@KINDS
def test_uniforms_decide_and_the_global_generator_is_left_alone(kind: Kind) -> None:
    torch.manual_seed(1)
    first, _ = mixed(kind)
    after = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(3), after)
    torch.manual_seed(2)
    assert torch.equal(mixed(kind)[0], first)
    assert not torch.equal(mixed(kind, seed=1)[0], first)
