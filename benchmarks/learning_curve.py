"""Whether the forecast of `task=learning_curve` is honest: from half of the training images, the error with all.

    python -m benchmarks.learning_curve --images photos --weights weights/tf_efficientnet_lite0.pt --size 288

Each repeat holds out 20% at random for validation and halves the rest, class by class. The forecast sees the half; then
a head is solved with all of the training images and tried on the same validation images. `--classes` and `--per-class`
draw a set of so many classes and images anew in each repeat, so that the curve of many images becomes that of few.
"""

import argparse
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.features import add_arguments, add_features_argument, labelled_features
from pets.data.labels import Vocab
from pets.evaluation.features import Features
from pets.evaluation.learning_curve import LEVEL, Forecast, by_class, choose, fit, forecast, measure, orders, subset
from pets.model.closed_form import discriminant
from pets.model.head_solver import solve_head
from pets.settings.model import Head

HEAD = Head("linear", normalize=True, init="lda", shrinkage="auto")


def main() -> None:
    """Print a line for each repeat, and what they have in common."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning_curve", description=__doc__.split("\n")[0])
    add_arguments(parser)
    add_features_argument(parser)
    parser.add_argument("--size", type=int, default=224, help="side of the images, in pixels")
    parser.add_argument("--seeds", type=int, default=200, help="repeats")
    parser.add_argument("--classes", type=int, help="classes of a repeat, drawn at random; default: all")
    parser.add_argument("--per-class", type=int, help="images of each class of a repeat; default: all")
    parser.add_argument("--draws", type=int, default=5, help="learning_curve.repeats")
    parser.add_argument("--choose-once", action="store_true", help="the first repeat chooses the shrinkage for all")
    options = parser.parse_args()
    values, labels = labelled_features(options, options.size)
    features = torch.from_numpy(values)
    features = features / features.square().mean(dim=1, keepdim=True).sqrt()
    vocab = Vocab.from_labels(labels.tolist())
    targets = torch.from_numpy(vocab.encode(labels.tolist()))
    started, found, chosen = time.process_time(), [], None
    for seed in range(options.seeds):
        drawn = draw(targets, options.classes or len(vocab), options.per_class, np.random.default_rng(seed))
        task = halved(features[drawn], targets[drawn], seed)
        permutations = orders(len(task.half.targets), options.draws, seed)
        if chosen is None or not options.choose_once:
            chosen = choose_all(task, permutations[0])
        found.append(repeat(task, permutations, chosen))
        print(line(seed, found[-1]), flush=True)
    print(summary(found))
    print(f"{(time.process_time() - started) / len(found):.1f} processor seconds a repeat")


class Task(NamedTuple):
    """What one repeat has to forecast: from `half` of `train`, the error on `valid`."""

    train: Features
    half: Features
    valid: Features
    n_classes: int


class Repeat(NamedTuple):
    """A forecast and what came of it."""

    size: int
    """Images that it was made from."""
    before: float
    """Their error."""
    expected: Forecast
    after: float
    """Error with all training images."""
    gains: list[tuple[bool, float]]
    """Of each class: whether it was named, and by how much its error fell afterwards."""


def draw(targets: Tensor, classes: int, per_class: int | None, rng: np.random.Generator) -> Tensor:
    """Return int64 indices of images: `per_class` of each of so many classes, at random."""
    chosen = rng.permutation(int(targets.max()) + 1)[:classes]
    rows = [rng.permutation(np.flatnonzero(targets.numpy() == label))[:per_class] for label in chosen]
    return torch.from_numpy(np.sort(np.concatenate(rows)))


def halved(features: Tensor, targets: Tensor, seed: int) -> Task:
    """Return a random split of images, and half of its training part."""
    names, classes = np.unique(targets.numpy(), return_inverse=True)
    targets = torch.from_numpy(classes)
    order = _with_all_classes(targets, seed)
    valid, train = order[: len(order) // 5], order[len(order) // 5 :]
    half = train[subset(torch.arange(len(train)), targets[train], 0.5)]

    def of(rows: Tensor) -> Features:
        return Features(features[rows], targets[rows], rows)

    return Task(of(train), of(half), of(valid), len(names))


def choose_all(task: Task, order: Tensor) -> tuple[float, ...]:
    """Return the shrinkage of each size of the curve, and last that of all training images."""
    whole = solve_head(task.train.values, task.train.targets, task.n_classes, HEAD).value
    return *choose(task.half, task.n_classes, HEAD, order), whole


def repeat(task: Task, permutations: list[Tensor], chosen: tuple[float, ...]) -> Repeat:
    """Forecast from half of the training images, and measure what comes with all of them."""
    curve = measure(task.half, task.valid, task.n_classes, "lda", chosen[:-1], permutations)
    targets = task.valid.targets
    expected = forecast(fit(curve), len(task.train.targets), len(targets))
    weight, bias = discriminant(task.train.values, task.train.targets, task.n_classes, chosen[-1])
    wrong = ((task.valid.values.double() @ weight.T + bias).argmax(1) != targets).double()
    classes = tuple(str(label) for label in range(task.n_classes))
    rows = by_class(curve, task.half.targets, targets, classes)
    gains = [(row.p < LEVEL, row.whole - float(wrong[targets == int(row.label)].mean())) for row in rows]
    return Repeat(curve.sizes[-1], float(curve.errors[-1, 0]), expected, float(wrong.mean()), gains)


def _with_all_classes(targets: Tensor, seed: int) -> Tensor:
    """Return the first random order of the images in which training has every class."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(len(targets), generator=generator)
        if len(np.unique(targets[order[len(order) // 5 :]])) == len(np.unique(targets)):
            return order


def line(seed: int, one: Repeat) -> str:
    """Return what one repeat says."""
    covered = "" if one.expected.low <= one.after <= one.expected.high else ", outside"
    return (
        f"{seed}: {one.size:,} images err {one.before:.4f}, forecast {one.expected.value:.4f} "
        f"({one.expected.low:.4f} to {one.expected.high:.4f}), then {one.after:.4f}{covered}"
    )


def summary(found: Sequence[Repeat]) -> str:
    """Return coverage, errors of the forecasts, and what followed for the classes that were named."""
    off = 100 * np.array([one.expected.value - one.after for one in found])
    below = np.mean([one.after < one.expected.low for one in found])
    above = np.mean([one.after > one.expected.high for one in found])
    width = 100 * np.mean([one.expected.high - one.expected.low for one in found])
    every = [100 * gain for one in found for _, gain in one.gains]
    named = [100 * gain for one in found for is_named, gain in one.gains if is_named]
    followed = f"{np.mean(named):.1f} points on average" if named else "nothing"
    return (
        f"{len(found)} repeats: error {100 * np.mean([one.before for one in found]):.2f}% with half, "
        f"{100 * np.mean([one.after for one in found]):.2f}% with all\n"
        f"interval: covered {1 - below - above:.1%} (below {below:.1%}, above {above:.1%}), {width:.1f} points wide\n"
        f"forecast: {off.mean():+.2f} points off on average, {np.median(abs(off)):.2f} in the median\n"
        f"classes: {len(named)} named, which gained {followed}; a class gained {np.mean(every):.1f}"
    )


if __name__ == "__main__":
    main()
