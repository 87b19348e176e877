from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pets.evaluation.gradcam import gradcam


class BrightnessClassifier(nn.Module):
    """Class 0 speaks for the first channel, class 1 for the second."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.AvgPool2d(4)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2, bias=False))
        self.head[2].weight = nn.Parameter(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))

    def feature_map(self, images: Tensor) -> Tensor:
        return self.body(images)


def test_heat_lies_on_what_speaks_for_the_predicted_class() -> None:
    images = torch.zeros(2, 3, 16, 16)
    images[0, 0, :8, 8:] = 1.0
    images[1, 1, 8:, :8] = 0.5
    model: Any = BrightnessClassifier()
    heat = gradcam(model, images)
    assert heat.shape == (2, 16, 16)
    assert heat.amin() >= 0
    assert heat.amax(dim=(1, 2)).tolist() == [1.0, 1.0]
    assert heat[0, :8, 8:].mean() > 0.7
    assert heat[1, 8:, :8].mean() > 0.7
    assert heat[0, 10:, :6].max() == heat[1, :6, 10:].max() == 0


def test_nothing_that_speaks_for_the_class_is_zero_heat() -> None:
    model: Any = BrightnessClassifier()
    heat = gradcam(model, torch.zeros(1, 3, 16, 16))
    assert torch.equal(heat, torch.zeros(1, 16, 16))


def test_what_moves_all_logits_alike_changes_nothing() -> None:
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    model: Any = BrightnessClassifier()
    expected = gradcam(model, images)
    assert expected.amax() == 1
    with torch.no_grad():
        model.head[2].weight -= 2.0
    assert torch.allclose(gradcam(model, images), expected, atol=1e-5)


def test_a_channel_that_is_the_same_everywhere_adds_no_heat() -> None:
    images = torch.zeros(1, 3, 16, 16)
    images[0, 0, :8, 8:] = 1.0
    model: Any = BrightnessClassifier()
    expected = gradcam(model, images)
    with torch.no_grad():
        model.head[2].weight[0, 2] = 5.0
    images[:, 2] = 1.0  # as a class token is laid out
    assert torch.allclose(gradcam(model, images), expected, atol=1e-5)


@pytest.mark.parametrize("grad_enabled", [True, False])
def test_classifier_keeps_mode_and_gradients(classifier: Any, grad_enabled: bool) -> None:
    classifier.head[-1].weight.grad = torch.ones_like(classifier.head[-1].weight)
    modes = [module.training for module in classifier.modules()]
    with torch.set_grad_enabled(grad_enabled):
        heat = gradcam(classifier, torch.rand(2, 3, 16, 16))
    assert not heat.requires_grad
    assert [module.training for module in classifier.modules()] == modes
    grads = {name: parameter.grad for name, parameter in classifier.named_parameters()}
    assert torch.equal(grads.pop("head.4.weight"), torch.ones_like(classifier.head[-1].weight))
    assert all(grad is None for grad in grads.values())


def test_frozen_classifier_has_heat_too(classifier: Any) -> None:
    expected = gradcam(classifier, torch.full((1, 3, 16, 16), 0.5))
    classifier.requires_grad_(False)
    assert torch.equal(gradcam(classifier, torch.full((1, 3, 16, 16), 0.5)), expected)
