"""How often does the leaderboard declare a winner among equals? Sweeps of one setting that pretends to be several.

    python -m benchmarks.luck --images data/caltech101 --weights weights/tf_efficientnet_lite0.pt

Linear heads on the features of a frozen backbone, trained with dropout on the same 80% of the images, each from another
seed (first weights, order, dropout). A sweep draws runs of them at random, deals them to rows, and compares the rows as
a leaderboard does. Every "worse" is false.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.features import add_arguments, add_features_argument, labelled_features
from pets.evaluation.intervals import wilson
from pets.sweep.luck import compare
from pets.sweep.record import Job

SHAPES = ((2, 1), (5, 1), (2, 3), (5, 3), (3, 5))
"""Rows of a sweep, and seeds of each."""


def main() -> None:
    """Train the heads, simulate the sweeps, print a line a shape and write results.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.luck", description=__doc__.split("\n")[0])
    add_arguments(parser)
    add_features_argument(parser)
    parser.add_argument("--runs", type=int, default=60, help="seeds to train")
    parser.add_argument("--epochs", type=int, default=3, help="epochs of a head")
    parser.add_argument("--sweeps", type=int, default=200, help="sweeps of each shape")
    parser.add_argument("--out", type=Path, default=Path("outputs/luck"), help="folder of the results")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    features, labels = labelled_features(options)
    wrong = train_runs(features, labels, options.runs, options.epochs)
    np.save(options.out / "wrong.npy", wrong)
    rates = wrong.mean(axis=0)
    spread = f"error {rates.mean():.2%}, sd {rates.std(ddof=1):.2%}"
    print(f"{options.runs} runs of one setting on {len(wrong):,} images: {spread}")
    results = []
    for rows, seeds in SHAPES:
        declared = false_claims(wrong, rows, seeds, options.sweeps)
        value, low, high = wilson(declared, options.sweeps)
        results.append({"rows": rows, "seeds": seeds, "sweeps": options.sweeps, "false": declared})
        print(f"{rows} rows x {seeds} seeds: a row is called worse in {declared} of {options.sweeps} sweeps, "
              f"{value:.1%} ({low:.1%} to {high:.1%})", flush=True)  # fmt: skip
    (options.out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def train_runs(
    features: NDArray[np.float32], labels: NDArray[np.str_], n_runs: int, epochs: int
) -> NDArray[np.float64]:
    """Return (n, n_runs): 1 where a run is wrong about one of the n held-out images, a fifth of all."""
    classes, indices = np.unique(labels, return_inverse=True)
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(labels)))
    held_out, training = order[: len(order) // 5], order[len(order) // 5 :]
    inputs, targets = torch.from_numpy(features), torch.from_numpy(indices)
    inputs = (inputs - inputs[training].mean(0)) / inputs[training].std(0).clamp_min(1e-6)
    runs = []
    for seed in range(n_runs):
        weight, bias = train_head(inputs[training], targets[training], len(classes), epochs, seed)
        runs.append((inputs[held_out] @ weight.T + bias).argmax(1) != targets[held_out])
    return torch.stack(runs, dim=1).double().numpy()


def train_head(inputs: Tensor, targets: Tensor, n_classes: int, epochs: int, seed: int) -> tuple[Tensor, Tensor]:
    """Train weight (C, F) and bias (C,) with Adam and dropout; everything random follows the seed."""
    generator = torch.Generator().manual_seed(seed)
    weight = (0.03 * torch.randn(n_classes, inputs.shape[1], generator=generator)).requires_grad_()
    bias = torch.zeros(n_classes, requires_grad=True)
    optimizer = torch.optim.Adam([weight, bias], lr=1e-3)
    for _ in range(epochs):
        for rows in torch.split(torch.randperm(len(inputs), generator=generator), 64):  # type: ignore[no-untyped-call]
            kept = torch.rand(len(rows), inputs.shape[1], generator=generator) < 0.5
            loss = F.cross_entropy((inputs[rows] * kept * 2) @ weight.T + bias, targets[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return weight.detach(), bias.detach()


def false_claims(wrong: NDArray[np.float64], rows: int, seeds: int, sweeps: int) -> int:
    """Return in how many sweeps of equals a row is called worse than the best."""
    rng = np.random.default_rng(rows * 100 + seeds)
    found = 0
    for _ in range(sweeps):
        drawn = rng.choice(wrong.shape[1], (rows, seeds), replace=False)
        ranked = sorted(drawn.tolist(), key=lambda columns: float(wrong[:, columns].mean()))
        marks = compare(jobs(rows, seeds), wrong[:, np.concatenate(ranked)], "valid").marks
        found += any(mark.startswith("worse") for mark in marks.values())
    return found


def jobs(rows: int, seeds: int) -> Sequence[Sequence[Job]]:
    """Return jobs of settings that differ by name only."""
    return [
        [
            Job((f"a={row}", f"seed={seed}"), "valid/error_rate", None, 0.0, name=f"{row}/{seed}")
            for seed in range(seeds)
        ]
        for row in range(rows)
    ]


if __name__ == "__main__":
    main()
