"""The new part of a model: a feature map in, one logit a class out."""

import torch
from torch import Tensor, nn

from pets.settings.model import Head


class ConcatPool(nn.Module):
    """Global maximum, then global mean, of a feature map: (B, F, h, w) -> (B, 2F)."""

    def forward(self, features: Tensor) -> Tensor:
        # Reductions instead of adaptive pooling, whose backward pass is not deterministic on a GPU.
        return torch.cat([features.amax((2, 3)), features.mean((2, 3))], dim=1)


class AveragePool(nn.Module):
    """Global mean of a feature map: (B, F, h, w) -> (B, F)."""

    def forward(self, features: Tensor) -> Tensor:
        return features.mean((2, 3))


def build_head(n_features: int, n_classes: int, options: Head) -> nn.Sequential:
    """Build a head: feature map (B, n_features, h, w) -> logits (B, n_classes).

    "concat_pool" is the head of fastai's `vision_learner`, layer by layer and with its initial values. "linear" is
    global average pooling and one linear layer, whose initial probabilities are nearly equal; a fit replaces its
    weights by those of `head_solver.solve_head` unless `init="random"`.

    Args:
        n_features: Channels of the feature map.
        n_classes: Number of classes.
        options: See `pets.settings.model.Head`.
    """
    if options.kind == "linear":
        return _linear(n_features, n_classes, options.dropout, options.normalize)
    return _concat_pool(n_features, n_classes, options.hidden, options.dropout)


def _linear(n_features: int, n_classes: int, dropout: float, normalize: bool) -> nn.Sequential:
    output = nn.Linear(n_features, n_classes)
    nn.init.normal_(output.weight, std=0.01)
    nn.init.zeros_(output.bias)
    norm = [nn.RMSNorm(n_features, eps=1e-6, elementwise_affine=False)] if normalize else []
    return nn.Sequential(AveragePool(), *norm, nn.Dropout(dropout), output)


def _concat_pool(n_features: int, n_classes: int, hidden: int, dropout: float) -> nn.Sequential:
    head = nn.Sequential(
        ConcatPool(),
        nn.BatchNorm1d(2 * n_features),
        nn.Dropout(dropout / 2),
        nn.Linear(2 * n_features, hidden, bias=False),
        nn.ReLU(inplace=True),
        nn.BatchNorm1d(hidden),
        nn.Dropout(dropout),
        nn.Linear(hidden, n_classes, bias=False),
    )
    for layer in head:
        if isinstance(layer, nn.BatchNorm1d):
            nn.init.constant_(layer.bias, 1e-3)
        elif isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
    return head
