"""Losses for single-label classification; each knows the probabilities that belong to its logits."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pets.errors import UserError
from pets.settings import model as settings
from pets.settings.declare import Refused


class Loss(nn.Module):
    """Loss of logits (B, C) against int64 class indices (B,) or float class probabilities (B, C).

    Attributes:
        kind: The name by which `loss_from_spec` rebuilds it.
    """

    kind: ClassVar[str]

    def forward(self, logits: Tensor, targets: Tensor, reduction: Literal["mean", "none"] = "mean") -> Tensor:
        """Return the loss of each item, float (B,), or their plain mean."""
        losses = self.per_item(logits, targets)
        return losses.mean() if reduction == "mean" else losses

    @abstractmethod
    def per_item(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each item, float (B,)."""

    @abstractmethod
    def probabilities(self, logits: Tensor) -> Tensor:
        """Return probabilities in [0, 1], of the shape of the logits."""

    def check(self, n_classes: int) -> None:
        """Raise ValueError where the loss does not suit the number of classes."""

    def balance(self, counts: Sequence[int]) -> None:
        """Take note of how often each class occurs among the training images, for a loss whose weights follow it."""

    def spec(self) -> dict[str, Any]:
        """Return plain values from which `loss_from_spec` rebuilds the loss."""
        return {"kind": self.kind}


class CrossEntropy(Loss):
    """Softmax cross entropy.

    The mean over a batch is the plain mean of the weighted items, in training and in evaluation, so that it does
    not depend on how items fall into batches; torch divides by the sum of the weights of the batch instead.
    """

    kind = "cross_entropy"

    def __init__(
        self, label_smoothing: float = 0.0, class_weights: Sequence[float] | Literal["balanced"] | None = None
    ) -> None:
        """Build the loss.

        Args:
            label_smoothing: In [0, 1): the share of the target spread evenly over the classes.
            class_weights: One weight a class, in the order of the classes, or None for equal ones. "balanced": those
                that `balance` computes, as a `Classifier` asks it to when a fit starts.

        Raises:
            ValueError: A value outside what is allowed.
        """
        super().__init__()
        settings.CrossEntropy(label_smoothing, class_weights)
        self.label_smoothing = label_smoothing
        self.balanced = class_weights == "balanced"
        listed = None if class_weights is None or self.balanced else [float(weight) for weight in class_weights]
        weights = None if listed is None else torch.tensor(listed, dtype=torch.float32)
        # An option, kept in the spec; as a persistent buffer it would become a key of every state dict.
        self.register_buffer("class_weights", weights, persistent=False)
        self.class_weights: Tensor | None

    def balance(self, counts: Sequence[int]) -> None:
        if self.balanced:
            weights = sum(counts) / (len(counts) * torch.tensor(counts, dtype=torch.float64))
            self.class_weights = weights.float()

    def per_item(self, logits: Tensor, targets: Tensor) -> Tensor:
        if self.balanced and self.class_weights is None:
            raise UserError("loss.class_weights=balanced: the weights are known once a fit has counted its images")
        return F.cross_entropy(
            logits, targets, weight=self.class_weights, label_smoothing=self.label_smoothing, reduction="none"
        )

    def probabilities(self, logits: Tensor) -> Tensor:
        return logits.softmax(dim=1)

    def check(self, n_classes: int) -> None:
        if self.class_weights is not None and len(self.class_weights) != n_classes:
            raise UserError(f"loss.class_weights: {len(self.class_weights)} weights for {n_classes} classes")

    def spec(self) -> dict[str, Any]:
        unknown = "balanced" if self.balanced else None
        weights = unknown if self.class_weights is None else self.class_weights.tolist()
        return {"kind": self.kind, "label_smoothing": self.label_smoothing, "class_weights": weights}


class OneVsRest(Loss):
    """Binary cross entropy of one sigmoid a class, averaged over the classes as fastai's BCEWithLogitsLossFlat.

    The probabilities need not sum to 1: all of them small means "none of these".
    """

    kind = "one_vs_rest"

    def per_item(self, logits: Tensor, targets: Tensor) -> Tensor:
        if not targets.is_floating_point():
            targets = F.one_hot(targets, logits.shape[1])
        return F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), reduction="none").mean(dim=1)

    def probabilities(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()


LOSSES: dict[str, type[Loss]] = {loss.kind: loss for loss in (CrossEntropy, OneVsRest)}


def loss_from_spec(spec: Mapping[str, Any]) -> Loss:
    """Rebuild a loss from `Loss.spec`.

    Raises:
        ValueError: Unknown kind or option.
    """
    options = {key: value for key, value in spec.items() if key != "kind"}
    kind = spec.get("kind")
    if not isinstance(kind, str) or kind not in LOSSES:
        raise Refused("loss.kind", kind, ", ".join(LOSSES))
    try:
        return LOSSES[kind](**options)
    except TypeError:
        raise Refused("loss", spec, f"the kind {kind} with its own options") from None
