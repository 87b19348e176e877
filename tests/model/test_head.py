import math
from typing import Any

import pytest
import torch
from torch import nn

from pets.model.head import build_head
from pets.settings.model import Head


def test_concat_pool_is_fastais_head_layer_by_layer() -> None:
    torch.manual_seed(0)
    head: list[Any] = list(build_head(512, 37, Head(kind="concat_pool", hidden=512, dropout=0.5)))
    names = [type(layer).__name__ for layer in head]
    assert names == ["ConcatPool", "BatchNorm1d", "Dropout", "Linear", "ReLU", "BatchNorm1d", "Dropout", "Linear"]
    _, first_norm, first_dropout, hidden, _, second_norm, second_dropout, output = head
    assert (first_norm.num_features, second_norm.num_features) == (1024, 512)
    assert (first_dropout.p, second_dropout.p) == (0.25, 0.5)
    assert (hidden.weight.shape, output.weight.shape) == ((512, 1024), (37, 512))
    assert hidden.bias is None
    assert output.bias is None
    for norm in (first_norm, second_norm):
        assert torch.equal(norm.weight, torch.ones_like(norm.weight))
        assert torch.equal(norm.bias, torch.full_like(norm.bias, 1e-3))
    for linear in (hidden, output):  # kaiming normal: std = sqrt(2 / fan_in), here within five standard errors
        std, n = math.sqrt(2 / linear.in_features), linear.weight.numel()
        assert linear.weight.std().item() == pytest.approx(std, rel=5 / math.sqrt(2 * n))
        assert abs(linear.weight.mean().item()) < 5 * std / math.sqrt(n)


def test_concat_pool_takes_the_maximum_first_then_the_mean() -> None:
    pool = build_head(2, 3, Head(kind="concat_pool", hidden=4, dropout=0.0))[0]
    features = torch.rand(5, 2, 3, 4)
    expected = torch.cat(
        [nn.functional.adaptive_max_pool2d(features, 1), nn.functional.adaptive_avg_pool2d(features, 1)], dim=1
    )
    torch.testing.assert_close(pool(features), expected.flatten(1))


def test_linear_starts_with_nearly_equal_probabilities() -> None:
    torch.manual_seed(0)
    head = build_head(512, 37, Head(kind="linear", hidden=512, dropout=0.0))
    logits = head(torch.rand(8, 512, 7, 7))
    loss = nn.functional.cross_entropy(logits, torch.arange(8))
    assert loss.item() == pytest.approx(math.log(37), abs=0.2)
    assert [type(layer).__name__ for layer in head] == ["AveragePool", "Dropout", "Linear"]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"kind": "cosine"}, r"^model\.head\.kind='cosine' is not allowed: concat_pool, linear$"),
        ({"dropout": 1.0}, r"^model\.head\.dropout=1\.0 is not allowed: a number, at least 0 and below 1$"),
        ({"dropout": "much"}, r"model\.head\.dropout='much'"),
        ({"hidden": 0}, r"model\.head\.hidden=0"),
        ({"hidden": 2.5}, r"model\.head\.hidden=2\.5"),
    ],
)
def test_a_value_outside_what_is_allowed_is_named(option: dict[str, Any], message: str) -> None:
    allowed: dict[str, Any] = {"kind": "concat_pool", "hidden": 4, "dropout": 0.5}
    with pytest.raises(ValueError, match=message):
        build_head(8, 2, Head(**(allowed | option)))


def test_a_normalised_linear_head_sees_directions_only() -> None:
    head = build_head(16, 3, Head(kind="linear", hidden=4, dropout=0.0, normalize=True))
    features = torch.rand(5, 16, 2, 2) + 0.1
    torch.testing.assert_close(head(7 * features), head(features))
    torch.testing.assert_close(head[:-1](features).square().mean(1), torch.ones(5))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"normalize": True}, r"model\.head\.normalize=true: needs model\.head\.kind=linear, not concat_pool"),
        ({"init": "lda"}, r"model\.head\.init=lda: needs model\.head\.kind=linear, not concat_pool"),
        ({"init": "zeros"}, r"^model\.head\.init='zeros' is not allowed: random, lda, logistic$"),
        ({"shrinkage": 0}, r"^model\.head\.shrinkage=0 is not allowed: a number above 0, at most 1, or auto$"),
    ],
)
def test_what_only_the_linear_head_can_do_is_said(option: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_head(8, 2, Head(kind="concat_pool", hidden=4, dropout=0.5, **option))
