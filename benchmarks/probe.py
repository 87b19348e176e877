"""The error of a solved head over splits, and what solving costs, beside scikit-learn's on the same features.

    python -m benchmarks.probe --images photos --weights weights/tf_efficientnet_lite0.pt --size 288

Labels are the folders of the images, or else what stands before the number in their names. Each split holds out 20% at
random, as `data.split.seed` does. Times are processor seconds: those of the clock say more about what else runs.
"""

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from benchmarks.features import add_arguments, pooled_features
from benchmarks.images import labels_of
from pets.data.labels import Vocab
from pets.data.presize import Presize
from pets.data.sources.folder import ImageFolder, list_images
from pets.data.splits import SplitRule
from pets.model.head_solver import FOLDS, TRIED, solve_head
from pets.settings.model import Head

Predict = Callable[[Tensor], np.ndarray]
Contender = Callable[[Tensor, np.ndarray, int], Predict]
"""From features, classes and their number to a function from features to predicted classes."""


def main() -> None:
    """Compute the features once, then print a line for each contender and split, and a mean for each contender."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.probe", description=__doc__.split("\n")[0])
    add_arguments(parser)
    parser.add_argument("--size", type=int, default=224, help="side of the images, in pixels")
    parser.add_argument("--seeds", type=int, default=5, help="splits")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=["lda", "sklearn-lda"])
    options = parser.parse_args()
    files = list_images(options.images).files
    labels = labels_of(files)
    vocab = Vocab.from_labels(labels)
    targets = vocab.encode(labels)
    features = pooled_features(options, files, Presize(), options.size)
    features = features / features.square().mean(dim=1, keepdim=True).sqrt()
    for name in options.contenders:
        errors, seconds = [], []
        for seed in range(options.seeds):
            split = SplitRule(seed=seed)(files, targets, vocab.classes, ImageFolder(options.images))
            started = time.process_time()
            predict = CONTENDERS[name](features[split.train], targets[split.train], len(vocab))
            seconds.append(time.process_time() - started)
            errors.append(float((predict(features[split.valid]) != targets[split.valid]).mean()))
            print(f"{name} split {seed}: error {errors[-1]:.4f}, {seconds[-1]:.2f} s", flush=True)
        print(summary(name, errors, seconds, len(split.train), len(split.valid)), flush=True)


def summary(name: str, errors: Sequence[float], seconds: Sequence[float], n_train: int, n_valid: int) -> str:
    """Return the line of one contender."""
    spread = f" (sd {np.std(errors, ddof=1):.4f})" if len(errors) > 1 else ""
    return (
        f"{name}: error {np.mean(errors):.4f}{spread} over {len(errors)} splits of {n_train:,} and {n_valid:,} images, "
        f"{np.median(seconds):.2f} processor seconds with its cross-validation"
    )


def solved(head: Head) -> Contender:
    """Return the contender that this project is."""

    def fit(features: Tensor, targets: np.ndarray, n_classes: int) -> Predict:
        found = solve_head(features, torch.from_numpy(targets), n_classes, head)
        return lambda new: (new.double() @ found.weight.T + found.bias).argmax(1).numpy()  # type: ignore[no-any-return]

    return fit


def grid_search(key: str) -> Contender:
    """Return what one writes with scikit-learn: a grid search over the same values, folds and criterion."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    def fit(features: Tensor, targets: np.ndarray, n_classes: int) -> Predict:
        lda = LinearDiscriminantAnalysis(solver="lsqr", priors=np.full(n_classes, 1 / n_classes))
        model = lda if key == "shrinkage" else LogisticRegression(max_iter=2000)
        search = GridSearchCV(model, {key: TRIED[key]}, cv=FOLDS, scoring="neg_log_loss")
        search.fit(features.double().numpy(), targets)
        return lambda new: search.predict(new.double().numpy())  # type: ignore[no-any-return]

    return fit


CONTENDERS: dict[str, Contender] = {
    "lda": solved(Head("linear", init="lda", shrinkage="auto")),
    "logistic": solved(Head("linear", init="logistic")),
    "sklearn-lda": lambda *items: grid_search("shrinkage")(*items),
    "sklearn-logistic": lambda *items: grid_search("C")(*items),
}

if __name__ == "__main__":
    main()
