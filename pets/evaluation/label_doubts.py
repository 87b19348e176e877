"""Labels that are probably wrong: each image is judged by a head on features that has not seen it. Pure functions."""

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pets.evaluation.predictions import Predictions
from pets.model.head_solver import FOLDS, discriminants, folds, inverse_temperature, solve_head
from pets.settings.model import Head


def out_of_fold(
    features: Tensor,
    targets: Tensor,
    files: NDArray[np.str_],
    classes: tuple[str, ...],
    shrinkage: float | Literal["auto"],
) -> Predictions:
    """Predict every image by the closed form of the other folds, calibrated on all of them by temperature scaling.

    The images whose label is contradicted, the largest loss first, are the "off-diagonal" ones of confident learning,
    ranked by self-confidence (Northcutt et al., 2021, Confident learning: estimating uncertainty in dataset labels).
    Its thresholds a class are left out: they dropped a quarter of the flipped labels of Caltech-101.

    Args:
        features: float32 (n, F), what a frozen body makes of the images.
        targets: int64 (n,) class indices; every class occurs. The only image of a class is part of every training.
        files: str (n,), their paths relative to the data root.
        classes: C names.
        shrinkage: See `pets.model.closed_form.discriminant_of`; auto: as `solve_head` chooses it.

    Raises:
        UserError: The features do not differ within the classes.
    """
    if shrinkage == "auto":
        shrinkage = solve_head(features, targets, len(classes), Head("linear", init="lda", shrinkage="auto")).value
    features, fold = features.double(), deal(targets)
    solve = discriminants(features, targets, len(classes), fold, features.shape[1])
    logits = torch.empty(len(targets), len(classes), dtype=torch.float64)
    for number in (-1, *range(FOLDS)):
        outside = fold == number
        if outside.any():
            weight, bias = solve(shrinkage, None if number < 0 else number)
            logits[outside] = features[outside] @ weight.T + bias
    logits *= inverse_temperature(logits, targets)
    losses = F.cross_entropy(logits, targets, reduction="none")
    return Predictions(
        logits.softmax(1).float().numpy(), targets.numpy(), losses.float().numpy(), files, classes
    )  # fmt: skip


def deal(targets: Tensor) -> Tensor:
    """Deal the images of each class to the folds at random, always alike: int64 (n,), -1 for one alone in its class."""
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(targets)))
    fold = torch.empty_like(targets)
    fold[order] = folds(targets[order])
    return fold
