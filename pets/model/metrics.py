"""What is measured while training and evaluating, without waiting for the device."""

import torch
from torch import Tensor, nn
from torchmetrics import Metric


class SmoothedLoss(nn.Module):
    """fastai's training loss: an exponential moving average over steps, corrected for its start at zero."""

    total: Tensor
    weight: Tensor

    def __init__(self, beta: float = 0.98) -> None:
        super().__init__()
        self.beta = beta
        # Progress of a fit, not part of the model: Classifier saves it beside the state dict.
        self.register_buffer("total", torch.zeros(()), persistent=False)
        self.register_buffer("weight", torch.zeros(()), persistent=False)

    def update(self, loss: Tensor) -> Tensor:
        """Take in the loss of one step, a scalar, and return the average so far."""
        self.total.mul_(self.beta).add_(loss.detach(), alpha=1 - self.beta)
        self.weight.mul_(self.beta).add_(1 - self.beta)
        return self.total / self.weight

    def reset(self) -> None:
        self.total.zero_()
        self.weight.zero_()


class EvaluationMetrics(Metric):
    """Loss, error rate and accuracy of an evaluation, each item counted once over all processes.

    `accuracy` is micro: the share of correct items; `error_rate` is 1 - accuracy. `accuracy_macro` is the mean over
    the classes that occur among the targets of each one's accuracy. torchmetrics' macro average would also count a
    class that was only predicted, as 0.
    """

    full_state_update = False
    loss: Tensor
    correct: Tensor
    seen: Tensor

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.add_state("loss", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("correct", torch.zeros(n_classes, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("seen", torch.zeros(n_classes, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, losses: Tensor, logits: Tensor, targets: Tensor, padding: Tensor) -> None:
        """Take in a batch.

        Args:
            losses: float (B,).
            logits: float (B, C).
            targets: int64 (B,) class indices.
            padding: bool (B,) true for the items that do not count.
        """
        counted = ~padding
        # Masked sums keep shapes fixed; selecting the counted items would wait for the device.
        self.loss += losses.masked_fill(padding, 0).sum()
        self.correct.index_add_(0, targets, (counted & (logits.argmax(dim=1) == targets)).long())
        self.seen.index_add_(0, targets, counted.long())

    def compute(self) -> dict[str, Tensor]:
        """Return loss, error_rate, accuracy and accuracy_macro as scalars."""
        n_items = self.seen.sum()
        accuracy = self.correct.sum() / n_items
        occurs = self.seen > 0
        by_class = self.correct / self.seen.clamp(min=1)
        return {
            "loss": self.loss / n_items,
            "error_rate": 1 - accuracy,
            "accuracy": accuracy,
            "accuracy_macro": by_class.sum() / occurs.sum(),
        }
