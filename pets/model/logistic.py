"""A linear head as multinomial logistic regression: the minimum of a convex loss, found by L-BFGS."""

import torch
import torch.nn.functional as F
from torch import Tensor

from pets.model.closed_form import Linear

MAX_ITER = 2000
"""Of L-BFGS, which stops long before at `TOLERANCE`."""
TOLERANCE = 1e-8
"""Change of the loss at which it has its minimum; the loss is then right to about 1e-6."""


def logistic(features: Tensor, targets: Tensor, n_classes: int, C: float, start: Linear | None = None) -> Linear:
    """Return multinomial logistic regression with a penalty on the weights, as scikit-learn's LogisticRegression.

    It minimises `logistic_loss`; the bias is not penalised. Source: Bishop (2006), Pattern recognition and machine
    learning, section 4.3.4.

    Args:
        features: Float64 (n, F).
        targets: int64 (n,) class indices.
        n_classes: Number of classes.
        C: Inverse strength of the penalty, above 0.
        start: Where the search begins; None: at zero. The minimum is the same.
    """
    # The bias takes up the mean, so that the search need not.
    centre = features.mean(0)
    centred = features - centre
    if start is None:
        start = features.new_zeros(n_classes, features.shape[1]), features.new_zeros(n_classes)
    weight = start[0].clone().requires_grad_()
    bias = (start[1] + start[0] @ centre).requires_grad_()
    search = torch.optim.LBFGS(
        [weight, bias], max_iter=MAX_ITER, tolerance_grad=TOLERANCE, tolerance_change=TOLERANCE,
        history_size=20, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> Tensor:
        search.zero_grad()
        loss = logistic_loss(centred, targets, (weight, bias), C)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    with torch.enable_grad():
        search.step(closure)  # type: ignore[no-untyped-call]
    weight, bias = weight.detach(), bias.detach()
    return weight, bias - weight @ centre


def logistic_loss(features: Tensor, targets: Tensor, head: Linear, C: float) -> Tensor:
    """Return the mean cross entropy plus the squared norm of the weights divided by 2 C n."""
    weight, bias = head
    return F.cross_entropy(features @ weight.T + bias, targets) + weight.square().sum() / (2 * C * len(features))
