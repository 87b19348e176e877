"""The new part of a model: a feature map in, one logit a class out."""

from typing import Any

import torch
from torch import Tensor, nn

from pets.model.closed_form import check_shrinkage

KINDS = ("concat_pool", "linear")
INITS = ("random", "lda")
HEAD_DEFAULTS: dict[str, Any] = {
    "kind": "concat_pool",
    "hidden": 512,
    "dropout": 0.5,
    "normalize": False,
    "init": "random",
    "shrinkage": 0.9,
}
"""fastai's, where fastai has the option."""


class ConcatPool(nn.Module):
    """Global maximum, then global mean, of a feature map: (B, F, h, w) -> (B, 2F)."""

    def forward(self, features: Tensor) -> Tensor:
        # Reductions instead of adaptive pooling, whose backward pass is not deterministic on a GPU.
        return torch.cat([features.amax((2, 3)), features.mean((2, 3))], dim=1)


class AveragePool(nn.Module):
    """Global mean of a feature map: (B, F, h, w) -> (B, F)."""

    def forward(self, features: Tensor) -> Tensor:
        return features.mean((2, 3))


def build_head(
    n_features: int,
    n_classes: int,
    *,
    kind: str,
    hidden: int,
    dropout: float,
    normalize: bool = False,
    init: str = "random",
    shrinkage: float = 0.9,
) -> nn.Sequential:
    """Build a head: feature map (B, n_features, h, w) -> logits (B, n_classes).

    Args:
        n_features: Channels of the feature map.
        n_classes: Number of classes.
        kind: "concat_pool" is the head of fastai's `vision_learner`, layer by layer and with its initial values;
            "linear" is global average pooling and one linear layer, whose initial probabilities are nearly equal.
        hidden: Width of the hidden layer of "concat_pool"; "linear" has none.
        dropout: In [0, 1), before the last linear layer; "concat_pool" applies half of it before the hidden one.
        normalize: Scale the pooled features of each image to a root mean square of 1, so that their direction alone
            decides; of "linear" only.
        init: "random", or "lda": for "linear", the first weights are replaced by `closed_form.discriminant_head` of the
            training features before a fit starts. They are random here all the same.
        shrinkage: Of "lda", in (0, 1].

    Raises:
        ValueError: A value outside what is allowed.
    """
    if kind not in KINDS:
        raise ValueError(f"model.head.kind={kind!r}: must be one of {', '.join(KINDS)}")
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise ValueError(f"model.head.dropout={dropout!r}: must be in [0, 1)")
    if not isinstance(hidden, int) or hidden < 1:
        raise ValueError(f"model.head.hidden={hidden!r}: must be a whole number of at least 1")
    if init not in INITS:
        raise ValueError(f"model.head.init={init!r}: must be one of {', '.join(INITS)}")
    check_shrinkage(shrinkage)
    if kind == "linear":
        return _linear(n_features, n_classes, dropout, normalize)
    if normalize or init == "lda":
        key = "normalize=true" if normalize else "init=lda"
        raise ValueError(f"model.head.{key}: needs model.head.kind=linear, not {kind}")
    return _concat_pool(n_features, n_classes, hidden, dropout)


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
