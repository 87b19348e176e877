"""What near-duplicates across the parts of a split are worth: the same classifier, measured with and without them.

    python -m benchmarks.leaks --images data/caltech101 --weights weights/tf_efficientnet_lite0.pt

Features of a frozen backbone and the discriminant in closed form, so that nothing but the split is random. Each seed
draws the split of `data.split.method=random` and that of `group_by=duplicates`. The images to validate on that have a
near-duplicate among those to train on, the leaked ones, are classified twice: as they are, and by a classifier that
was trained without their near-duplicates.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.features import add_arguments, pooled_features
from pets.data.duplicates import Pair, clusters, near_duplicates, perceptual_hash
from pets.data.groups import held_out
from pets.data.images import open_image
from pets.data.labels import ParentLabeller, Vocab
from pets.data.manifest import Split
from pets.data.presize import Presize
from pets.data.sources.folder import ImageFolder, list_images
from pets.data.splits import SplitRule
from pets.model.closed_form import discriminant
from pets.settings.run import Check


def main() -> None:
    """Run every seed, print a line each, and write results.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leaks", description=__doc__.split("\n")[0])
    add_arguments(parser)
    parser.add_argument("--size", type=int, default=128, help="side of the images, in pixels")
    parser.add_argument("--seeds", type=int, default=5, help="splits of each kind")
    parser.add_argument("--out", type=Path, default=Path("outputs/leaks"), help="folder of the results")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    files = list(list_images(options.images).files)
    labels = ParentLabeller()(files)
    vocab = Vocab.from_labels(labels)
    features, hashes = looked_at(options, files)
    pairs = near_duplicates(hashes, Check().max_distance)
    print(f"{len(files):,} images of {len(vocab)} classes, {len(pairs)} near-duplicate pairs")
    results = []
    for seed in range(options.seeds):
        result = one_seed(options.images, files, vocab.encode(labels), vocab.classes, features, pairs, seed)
        results.append(result)
        print(json.dumps(result), flush=True)
    print(summary(results))
    (options.out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def looked_at(options: argparse.Namespace, files: list[str]) -> tuple[torch.Tensor, np.ndarray]:
    """Return pooled features (n, F) and perceptual hashes uint64 (n,); kept in the folder of the results."""
    kept = options.out / f"{options.arch}_{options.size}.npz"
    if kept.is_file():
        with np.load(kept) as saved:
            if saved["files"].tolist() == files:
                return torch.from_numpy(saved["features"]), saved["hashes"]
    features = pooled_features(options, files, Presize(options.size * 9 // 8), options.size)
    phash = perceptual_hash()
    hashes = np.array([phash(open_image(options.images / file)) for file in files], dtype=np.uint64)
    np.savez(kept, files=np.array(files), features=features.numpy(), hashes=hashes)
    return features, hashes


def one_seed(
    root: Path,
    files: list[str],
    targets: np.ndarray,
    classes: tuple[str, ...],
    features: torch.Tensor,
    pairs: list[Pair],
    seed: int,
) -> dict[str, Any]:
    """Return, of both splits of a seed, the pairs across it and the error; of the random one what the leaks change."""
    result: dict[str, Any] = {"seed": seed}
    for name, groups in (("random", None), ("duplicates", clusters(len(files), pairs))):
        split = SplitRule(seed=seed)(files, targets, classes, ImageFolder(root))
        if groups is not None:  # as the rule does, which would look at every image again for every seed
            out = held_out(targets, groups, len(split.valid) / len(files), stratified=False, state=seed)
            split = Split(np.flatnonzero(~out), np.flatnonzero(out), split.test)
        held = np.zeros(len(files), dtype=bool)
        held[split.valid] = True
        across = [pair for pair in pairs if held[pair.first] != held[pair.second]]
        wrong = errors(features, targets, split.train, split.valid, len(classes))
        result[name] = {"pairs_across": len(across), "n": len(split.valid), "error": float(wrong.mean())}
        if across:
            result[name] |= without_leaks(features, targets, split, across, wrong, len(classes))
    return result


def without_leaks(
    features: torch.Tensor, targets: np.ndarray, split: Split, across: list[Pair], wrong: np.ndarray, n_classes: int
) -> dict[str, Any]:
    """Compare with a classifier that is trained without the near-duplicates of what it is validated on."""
    ends = np.array([[pair.first, pair.second] for pair in across])
    leaked = np.isin(split.valid, ends)
    train = split.train[~np.isin(split.train, ends)]
    honest = errors(features, targets, train, split.valid, n_classes)
    return {
        "leaked": int(leaked.sum()),
        "removed": len(split.train) - len(train),
        "error_without": float(honest.mean()),
        "error_of_leaked": float(wrong[leaked].mean()),
        "error_of_leaked_without": float(honest[leaked].mean()),
    }


def errors(
    features: torch.Tensor, targets: np.ndarray, train: np.ndarray, valid: np.ndarray, n_classes: int
) -> np.ndarray:
    """Train the discriminant on one part; say of each image of the other whether it is misclassified."""
    weight, bias = discriminant(features[train], torch.from_numpy(targets[train]), n_classes, 0.9)
    guesses = (features[valid].double() @ weight.T + bias).argmax(dim=1).numpy()
    wrong: np.ndarray = guesses != targets[valid]
    return wrong


def summary(results: list[dict[str, Any]]) -> str:
    """Return mean and standard deviation over the seeds, a line a quantity."""
    lines = [f"over {len(results)} seeds, mean (sd):"]
    for name in ("random", "duplicates"):
        for key in results[0][name]:
            values = np.array([result[name].get(key, np.nan) for result in results])
            lines.append(f"  {name:<10} {key:<24} {np.nanmean(values):.4f} ({np.nanstd(values, ddof=1):.4f})")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
