"""Lighting: golden values of fastai's formula, ranges, probabilities."""

import math

import pytest
import torch

from pets.augment.lighting import Lighting, adjust_, sample_params
from pets.data.batch import N_UNIFORMS

N = 8000


def uniforms(n: int) -> torch.Tensor:
    return torch.rand(n, N_UNIFORMS, generator=torch.Generator().manual_seed(0))


def written_by_hand(x: float, brightness: float, contrast: float) -> float:
    """fastai's Brightness, then its Contrast, on one pixel in float64."""
    x = min(max(x, 1e-7), 1 - 1e-7)
    logit = math.log(x / (1 - x)) + math.log(brightness / (1 - brightness))
    return 1 / (1 + math.exp(-logit * contrast))


@pytest.mark.parametrize("brightness", [0.4, 0.5, 0.6])
@pytest.mark.parametrize("contrast", [0.8, 1.0, 1.25])
def test_adjust_follows_fastai(brightness: float, contrast: float) -> None:
    pixels = [0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0]
    images = torch.tensor(pixels).expand(1, 3, 1, 7).contiguous()
    adjusted = adjust_(images, Lighting(torch.tensor([brightness]), torch.tensor([contrast])))
    expected = torch.tensor([written_by_hand(x, brightness, contrast) for x in pixels]).expand(1, 3, 1, 7)
    torch.testing.assert_close(adjusted, expected, atol=1e-6, rtol=0)


def test_golden_values() -> None:
    images = torch.tensor([0.2, 0.5, 0.8]).view(1, 3, 1, 1)
    brighter = adjust_(images, Lighting(torch.tensor([0.6]), torch.tensor([1.25])))
    torch.testing.assert_close(brighter.flatten(), torch.tensor([0.226876, 0.624063, 0.903758]), atol=2e-6, rtol=0)


def test_mid_grey_becomes_the_brightness() -> None:
    brightness = torch.tensor([0.4, 0.5, 0.6])
    adjusted = adjust_(torch.full((3, 3, 2, 2), 0.5), Lighting(brightness, torch.ones(3)))
    torch.testing.assert_close(adjusted[:, 0, 0, 0], brightness)


def test_neutral_lighting_changes_nothing() -> None:
    images = torch.linspace(0, 1, 256).expand(1, 3, 1, 256).contiguous()
    adjusted = adjust_(images.clone(), Lighting(torch.tensor([0.5]), torch.tensor([1.0])))
    torch.testing.assert_close(adjusted, images, atol=1e-6, rtol=0)


def test_range_is_never_left() -> None:
    images = torch.tensor([-1e-6, 0.0, 1.0, 1 + 1e-6]).expand(64, 3, 1, 4).contiguous()
    adjusted = adjust_(images, sample_params(uniforms(64), max_lighting=0.9, p_lighting=1.0))
    assert torch.isfinite(adjusted).all()
    assert adjusted.min() >= 0
    assert adjusted.max() <= 1


@pytest.mark.parametrize("p", [0.0, 0.75, 1.0])
def test_each_change_happens_with_its_probability(p: float) -> None:
    lighting = sample_params(uniforms(N), max_lighting=0.2, p_lighting=p)
    for changed in (lighting.brightness != 0.5, lighting.contrast != 1):
        assert abs(changed.float().mean().item() - p) <= max(4 * math.sqrt(p * (1 - p) / N), 0.002 * p)


def test_values_fill_fastais_ranges() -> None:
    lighting = sample_params(uniforms(N), max_lighting=0.2, p_lighting=1.0)
    assert lighting.brightness.min().item() == pytest.approx(0.4, abs=1e-3)
    assert lighting.brightness.max().item() == pytest.approx(0.6, abs=1e-3)
    assert lighting.contrast.min().item() == pytest.approx(0.8, abs=1e-3)
    assert lighting.contrast.max().item() == pytest.approx(1.25, abs=1e-3)
    assert lighting.contrast.median().item() == pytest.approx(1.0, abs=0.01)
