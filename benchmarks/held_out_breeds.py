"""Can it say "none of these"? Train on 30 breeds, show 7 it has never seen, and compare two detectors of the unknown.

    python -m benchmarks.held_out_breeds --images data/pets37x10 --weights weights/tf_efficientnet_lite0.pt

Features of a frozen backbone, one linear head a loss, trained to convergence on the same photographs with the same
penalty. The detectors are the highest probability of each: of 30 sigmoids, and of a softmax. Each seed holds out other
breeds and splits the photographs anew. The threshold is chosen on the very known photographs that it is tried on, so
the share of them that is accepted is optimistic; AUROC needs no threshold.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.features import add_arguments, pooled_features
from benchmarks.unknown import Scores, detector_report, unknown_figure
from pets.data.labels import RegexLabeller, Vocab
from pets.data.presize import Presize
from pets.data.sources.folder import list_images
from pets.evaluation.predictions import Predictions
from pets.evaluation.threshold import threshold_for_precision
from pets.model.losses import CrossEntropy, Loss, OneVsRest


def main() -> None:
    """Run every seed, print a line each, and write results.json and unknown.png (of the first seed)."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.held_out_breeds", description=__doc__.split("\n")[0])
    add_arguments(parser)
    parser.add_argument("--held-out", type=int, default=7, help="breeds that training never sees")
    parser.add_argument("--seeds", type=int, default=10, help="times the breeds and photographs are drawn")
    parser.add_argument("--precision", type=float, default=0.95, help="what the threshold is chosen for")
    parser.add_argument("--penalty", type=float, default=1e-3, help="weight of the squared norm of the head")
    parser.add_argument("--out", type=Path, default=Path("outputs/held_out_breeds"), help="folder of the results")
    options = parser.parse_args()
    files = list_images(options.images).files
    labels = RegexLabeller(r"(.+)_\d+\.jpg$")(files)
    features = pooled_features(options, files, Presize(460, interpolation="bilinear"), 224)
    options.out.mkdir(parents=True, exist_ok=True)
    results = []
    for seed in range(options.seeds):
        result, scores = one_seed(features, np.array(labels), seed, options)
        results.append(result)
        print(line(result), flush=True)
        if seed == 0:
            unknown_figure(scores).savefig(options.out / "unknown.png")
    print(summary(results))
    (options.out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def one_seed(
    features: Tensor, labels: np.ndarray, seed: int, options: argparse.Namespace
) -> tuple[dict[str, Any], dict[str, Scores]]:
    """Hold breeds out, train a head a loss on 80% of each other breed, and compare the detectors on the rest."""
    rng = np.random.default_rng(seed)
    breeds = rng.permutation(sorted(set(labels)))
    held_out, known = sorted(breeds[: options.held_out]), Vocab(sorted(breeds[options.held_out :]))
    training: list[int] = []
    testing: list[int] = []
    for breed in known:
        rows = rng.permutation(np.flatnonzero(labels == breed))
        cut = max(1, len(rows) // 5)
        testing.extend(rows[:cut])
        training.extend(rows[cut:])
    unknown = np.flatnonzero(np.isin(labels, held_out))
    targets = {
        part: torch.from_numpy(known.encode(labels[rows].tolist()))
        for part, rows in (("train", training), ("test", testing))
    }
    features = (features - features[training].mean(dim=0)) / features[training].std(dim=0).clamp_min(1e-6)
    result: dict[str, Any] = {"seed": seed, "held_out": held_out, "n_train": len(training)}
    scores: dict[str, Scores] = {}
    for name, loss in (("one-vs-rest", OneVsRest()), ("softmax", CrossEntropy())):
        head = train_head(features[training], targets["train"], loss, len(known), options.penalty)
        with torch.no_grad():
            inside = loss.probabilities(head(features[testing]))
            outside = loss.probabilities(head(features[unknown])).amax(dim=1).numpy()
        predictions = Predictions(
            inside.numpy(), targets["test"].numpy(), np.zeros(len(testing), np.float32), labels[testing], known.classes
        )
        scores[name] = (predictions.confidence, outside)
        threshold = threshold_for_precision(predictions, options.precision).value
        result[name] = {
            "error_of_known": float(1 - predictions.correct.mean()),
            **detector_report(predictions.confidence, outside, threshold),
        }
    return result, scores


def train_head(features: Tensor, targets: Tensor, loss: Loss, n_classes: int, penalty: float) -> nn.Linear:
    """Minimise the loss and the penalty from zero; both are convex, so that neither seed nor schedule matters."""
    head = nn.Linear(features.shape[1], n_classes)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    # The mean over classes would make the penalty weigh more for one-vs-rest than for softmax.
    scale = n_classes if isinstance(loss, OneVsRest) else 1
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value: Tensor = scale * loss(head(features), targets) + penalty * head.weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return head


def line(result: dict[str, Any]) -> str:
    """Return one seed's results as a line."""
    cells = [f"seed {result['seed']:>2}"]
    for name in ("one-vs-rest", "softmax"):
        area = result[name]["auroc"]
        cells.append(
            f"{name}: AUROC {area['value']:.3f} ({area['low']:.3f} to {area['high']:.3f}), "
            f"error of known {result[name]['error_of_known']:.1%}, "
            f"unknown refused {result[name]['unknown_refused']['value']:.0%}"
        )
    return "   ".join(cells)


def summary(results: list[dict[str, Any]]) -> str:
    """Return the mean and the spread over the seeds, and of the difference seed by seed."""
    areas = {name: np.array([r[name]["auroc"]["value"] for r in results]) for name in ("one-vs-rest", "softmax")}
    areas["difference"] = areas["one-vs-rest"] - areas["softmax"]
    n = f"{results[0]['softmax']['n_known']} known and {results[0]['softmax']['n_unknown']} unknown photographs"
    told = ", ".join(f"{name} {a.mean():.3f} (sd {a.std(ddof=1):.3f})" for name, a in areas.items() if len(a) > 1)
    return f"AUROC over {len(results)} seeds, {n} each: {told}"


if __name__ == "__main__":
    main()
