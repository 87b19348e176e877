"""What is drawn for the geometry: probabilities, ranges, independence, over thousands of images."""

import math

import pytest
import torch

from pets.augment.geometry import Geometry, sample_params
from pets.augment.uniforms import Column
from pets.data.batch import N_UNIFORMS

DEFAULT = {"min_scale": 0.75, "p_flip": 0.5, "max_rotate": 10.0, "max_zoom": 1.1, "max_warp": 0.2, "p_affine": 0.75}
N = 8000


def uniforms(n: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, N_UNIFORMS, generator=torch.Generator().manual_seed(seed))


def occurrence(g: Geometry) -> dict[str, float]:
    """How often each masked transform differs from neutral."""
    happened = {
        "flip": g.flip != 1,
        "rotate": g.angle != 0,
        "zoom": g.zoom != 1,
        "warp_x": g.warp_x != 0,
        "warp_y": g.warp_y != 0,
    }
    return {name: mask.float().mean().item() for name, mask in happened.items()}


def test_every_choice_has_a_column_of_its_own() -> None:
    assert [int(column) for column in Column] == list(range(len(Column)))
    assert len(Column) <= N_UNIFORMS


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_probabilities_zero_and_one_are_never_and_always(p: float) -> None:
    rates = occurrence(sample_params(uniforms(N), **DEFAULT | {"p_flip": p, "p_affine": p}))
    assert rates == pytest.approx(dict.fromkeys(rates, p), abs=0.002 if p else 0)


def test_each_transform_happens_with_its_probability() -> None:
    rates = occurrence(sample_params(uniforms(N), **DEFAULT | {"p_flip": 0.3}))
    expected = {"flip": 0.3, "rotate": 0.75, "zoom": 0.75, "warp_x": 0.75, "warp_y": 0.75}
    for name, p in expected.items():
        assert abs(rates[name] - p) < 4 * math.sqrt(p * (1 - p) / N), name


def test_masks_are_independent_of_each_other() -> None:
    g = sample_params(uniforms(N), **DEFAULT)
    happened = torch.stack([g.flip != 1, g.angle != 0, g.zoom != 1, g.warp_x != 0, g.warp_y != 0]).float()
    correlations = torch.corrcoef(happened) - torch.eye(5)
    assert correlations.abs().max() < 4 / math.sqrt(N)


def test_values_fill_their_ranges_and_stay_inside() -> None:
    g = sample_params(uniforms(N), **DEFAULT | {"p_affine": 1.0})
    radians = math.radians(10)
    ranges = {
        "window": (math.sqrt(0.75), 1.0),
        "window_x": (0.0, 1.0),
        "window_y": (0.0, 1.0),
        "angle": (-radians, radians),
        "zoom": (1.0, 1.1),
        "zoom_x": (0.0, 1.0),
        "zoom_y": (0.0, 1.0),
        "warp_x": (-0.2, 0.2),
        "warp_y": (-0.2, 0.2),
    }
    for name, (low, high) in ranges.items():
        values, slack = getattr(g, name), 0.01 * (high - low)
        assert low - 1e-6 <= values.min() < low + slack, name
        assert high - slack < values.max() <= high + 1e-6, name


def test_crop_area_is_uniform() -> None:
    area = sample_params(uniforms(N), **DEFAULT).window.square()
    quantiles = torch.quantile(area, torch.tensor([0.25, 0.5, 0.75]))
    torch.testing.assert_close(quantiles, torch.tensor([0.8125, 0.875, 0.9375]), atol=0.01, rtol=0)


def test_parameters_differ_by_image() -> None:
    for values in sample_params(uniforms(64), **DEFAULT | {"p_affine": 1.0}):
        assert len(values.unique()) > 60 or values.unique().tolist() == [-1.0, 1.0]
