"""Does task=check find wrong labels? Flip some at random, list the doubted ones, and count the flipped among the first.

    python -m benchmarks.flipped_labels --images data/caltech101 --weights weights/tf_efficientnet_lite0.pt

Each flipped image gets any other class with the same chance. The set's own wrong labels count as false finds.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.features import add_arguments, add_features_argument, labelled_features
from pets.evaluation.interpretation import suspects
from pets.evaluation.label_doubts import out_of_fold


def main() -> None:
    """Run every seed, print a line each, and write results.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flipped_labels", description=__doc__.split("\n")[0])
    add_arguments(parser)
    add_features_argument(parser)
    parser.add_argument("--flipped", type=float, default=0.05, help="share of the labels that are flipped")
    parser.add_argument("--first", type=float, default=0.06, help="share of the images that are looked at")
    parser.add_argument("--seeds", type=int, default=5, help="times that other labels are flipped")
    parser.add_argument("--out", type=Path, default=Path("outputs/flipped_labels"), help="folder of the results")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    features, labels = labelled_features(options)
    results = []
    for seed in range(options.seeds):
        result = one_seed(features, labels, seed, options.flipped, options.first)
        results.append(result)
        print(
            f"seed {seed}: {result['found']} of {result['flipped']} flipped labels ({result['found_share']:.1%}) among "
            f"the first {result['looked_at']} listed; {result['listed']} listed in all",
            flush=True,
        )
    (options.out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def one_seed(
    features: NDArray[np.float32], labels: NDArray[np.str_], seed: int, flipped: float, first: float
) -> dict[str, Any]:
    """Flip labels, list the doubted images as task=check does, and count."""
    rng = np.random.default_rng(seed)
    classes, targets = np.unique(labels, return_inverse=True)
    wrong = rng.choice(len(targets), round(flipped * len(targets)), replace=False)
    targets[wrong] = (targets[wrong] + rng.integers(1, len(classes), len(wrong))) % len(classes)
    files = np.array([str(row) for row in range(len(targets))])
    predictions = out_of_fold(
        torch.from_numpy(features), torch.from_numpy(targets), files, tuple(classes.tolist()), shrinkage=0.9
    )
    listed = [int(suspect.file) for suspect in suspects(predictions, confidence=0.0)]
    looked_at = listed[: round(first * len(targets))]
    found = len(set(looked_at) & set(wrong.tolist()))
    return {
        "seed": seed, "flipped": len(wrong), "listed": len(listed), "looked_at": len(looked_at), "found": found,
        "found_share": found / len(wrong),
    }  # fmt: skip


if __name__ == "__main__":
    main()
