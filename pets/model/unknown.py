"""Does an image show none of the classes? A detector that looks at its features, and the file that keeps it."""

import hashlib
from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Self

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pets.errors import UserError
from pets.files import write_bytes
from pets.model.closed_form import ROUNDING, Moments, shrink

SHRINKAGE = 0.9
"""Of both covariances; `python -m benchmarks.held_out_breeds` compares it with others."""


class UnknownDetector(nn.Module):
    """How familiar the features of an image are; below 0 it counts as one of none of the classes.

    Of features scaled to length 1 it is the log likelihood under the nearest of the classes, which are normal
    distributions with a common covariance, less that under one normal distribution of all images, less a threshold.
    As both logarithms are quadratic, a matrix for all classes and a vector for each say everything.
    Source: Ren et al. (2021), A simple fix to Mahalanobis distance for improving near-OOD detection; for the scaling
    Müller and Hein (2025), Mahalanobis++: Improving OOD detection via feature normalization.

    Args:
        n_classes: C.
        n_features: F, what the last layer of the network receives.
        false_alarms: Share in (0, 1) of the images of the classes that it was made to refuse.
    """

    linear: Tensor
    bias: Tensor
    quadratic: Tensor

    def __init__(self, n_classes: int, n_features: int, false_alarms: float) -> None:
        super().__init__()
        self.false_alarms = false_alarms
        self.register_buffer("linear", torch.zeros(n_classes, n_features))
        self.register_buffer("bias", torch.zeros(n_classes))
        self.register_buffer("quadratic", torch.zeros(n_features, n_features))

    def forward(self, features: Tensor) -> Tensor:
        """Return how familiar features (B, F) are: float32 (B,), in nats above the threshold."""
        directions = F.normalize(features.float(), dim=1)
        nearest = F.linear(directions, self.linear, self.bias).amax(1)
        familiarity: Tensor = nearest + ((directions @ self.quadratic) * directions).sum(1)
        return familiarity

    @classmethod
    def fit(cls, features: Tensor, targets: Tensor, known: Tensor, n_classes: int, false_alarms: float) -> Self:
        """Learn the classes, and choose the threshold by images that were not learned from.

        The threshold is that of split conformal prediction: of further images of the classes, drawn as `known` was,
        no more than the share `false_alarms` is refused on average.
        Source: Bates et al. (2023), Testing for outliers with conformal p-values.

        Args:
            features: Float (n, F) of the training images.
            targets: int64 (n,), their classes.
            known: Float (m, F) of other images of the classes.
            n_classes: C.
            false_alarms: Share in (0, 1).

        Raises:
            UserError: A class without images, no spread within the classes, or too few images to choose a threshold.
        """
        quadratic, linear, bias = log_ratio(F.normalize(features.double(), dim=1), targets, n_classes)
        detector = cls(n_classes, features.shape[1], false_alarms)
        detector.load_state_dict({"quadratic": quadratic, "linear": linear, "bias": bias})
        lowest = detector(known).sort().values
        place = int(false_alarms * (len(lowest) + 1))
        if place == 0:
            least = ceil(1 / false_alarms) - 1
            raise UserError(f"{len(lowest)} images are too few to choose a threshold, {least} or more are needed")
        detector.bias -= lowest[place - 1]
        return detector

    def save(self, path: Path, weights: Mapping[str, Tensor]) -> None:
        """Write a .safetensors file; it tells the state dict of the network whose features these are."""
        tensors = {name: tensor.cpu() for name, tensor in self.state_dict().items()}
        tensors["false_alarms"] = torch.tensor(self.false_alarms, dtype=torch.float64)
        tensors["weights"] = digest_of(weights)
        write_bytes(path, safetensors.torch.save(tensors))


def digest_of(weights: Mapping[str, Tensor]) -> Tensor:
    """Return uint8 (32,), by which a state dict is known again."""
    hashed = hashlib.blake2b(digest_size=32)
    for name in sorted(weights):
        hashed.update(weights[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return torch.tensor(list(hashed.digest()), dtype=torch.uint8)


def log_ratio(
    features: Tensor, targets: Tensor, n_classes: int, shrinkage: float = SHRINKAGE
) -> tuple[Tensor, Tensor, Tensor]:
    """Return float64 A (F, F), B (C, F) and c (C,): log p(x | class) - log p(x) is x A x + B x + c, and a constant.

    Args:
        features: Float64 (n, F).
        targets: int64 (n,), their classes.
        n_classes: C.
        shrinkage: Of both covariances, in (0, 1]; see `pets.model.closed_form.shrink`.

    Raises:
        UserError: A class without images, or no spread within the classes.
    """
    n, (counts, sums, products) = len(targets), Moments.of(features, targets, n_classes)
    if empty := (counts == 0).nonzero().flatten().tolist():
        raise UserError(f"class {empty[0]} has no image to learn from")
    means, mean = sums / counts[:, None], sums.sum(0) / n
    within, whole = (products - means.T @ sums) / n, products / n - mean.outer(mean)
    if not within.trace() > ROUNDING * products.trace() / n:
        raise UserError("the features do not differ within the classes")
    precision, precision_of_all = (
        torch.cholesky_inverse(torch.linalg.cholesky(shrink(covariance, shrinkage))) for covariance in (within, whole)
    )
    vectors, vector = means @ precision, precision_of_all @ mean
    constants = (mean @ vector - (vectors * means).sum(1)) / 2
    return (precision_of_all - precision) / 2, vectors - vector, constants
