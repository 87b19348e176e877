"""Can it say "none of these"? Train on 30 breeds, show 7 it has never seen, and compare detectors of the unknown.

    python -m benchmarks.held_out_breeds --images data/pets37x10 --weights weights/tf_efficientnet_lite0.pt

Features of a frozen backbone. The detectors are the highest probability of a linear head, trained to convergence, of
sigmoids or of a softmax; the highest probability and the largest logit of the linear discriminant; and what looks at
the features alone: the nearest training image, and Mahalanobis distances. The last one is the `UnknownDetector` of this
package. Each seed holds out other breeds and splits the photographs anew. With `--others` photographs of anything else
are shown too. The share refused is that at the threshold which refuses 5% of the very known photographs that it is
tried on, which is optimistic for all detectors alike; AUROC needs no threshold.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.features import add_arguments, pooled_features
from benchmarks.unknown import Scores, detector_report, unknown_figure
from pets.data.labels import RegexLabeller, Vocab
from pets.data.presize import Presize
from pets.data.sources.folder import list_images
from pets.evaluation.intervals import spread
from pets.model.closed_form import Moments, shrink
from pets.model.head_solver import solve_head
from pets.model.losses import CrossEntropy, Loss, OneVsRest
from pets.model.unknown import SHRINKAGE, UnknownDetector, log_ratio
from pets.settings.model import Head

Score = Callable[[Tensor], Tensor]
"""From features float32 (n, F) to (n,), high for what is known."""

OURS = "relative Mahalanobis, length 1"
LIKE_PETS = {"Leopards", "cougar_body", "cougar_face", "dalmatian", "garfield", "snoopy", "wild_cat"}
"""Classes of Caltech-101 with cats or dogs, which are not shown as photographs of anything else."""
PRESIZE = Presize(460, interpolation="bilinear")
FALSE_ALARMS = 0.05


def main() -> None:
    """Run every seed, print a table, and write results.json and unknown.png (of the first seed)."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.held_out_breeds", description=__doc__.split("\n")[0])
    add_arguments(parser)
    parser.add_argument("--size", type=int, default=288, help="of the images given to the network, in pixels")
    parser.add_argument("--others", type=Path, help="folder of photographs that show no pet, a class a subfolder")
    parser.add_argument("--per-class", type=int, default=4, help="photographs of each class of --others")
    parser.add_argument("--held-out", type=int, default=7, help="breeds that training never sees")
    parser.add_argument("--seeds", type=int, default=10, help="times the breeds and photographs are drawn")
    parser.add_argument("--penalty", type=float, default=1e-3, help="weight of the squared norm of the trained heads")
    parser.add_argument("--out", type=Path, default=Path("outputs/held_out_breeds"), help="folder of the results")
    options = parser.parse_args()
    files = list_images(options.images).files
    labels = RegexLabeller(r"(.+)_\d+\.jpg$")(files)
    features = pooled_features(options, files, PRESIZE, options.size)
    others = None
    if options.others:
        given = argparse.Namespace(**vars(options) | {"images": options.others})
        others = pooled_features(given, some_of_each(options.others, options.per_class), PRESIZE, options.size)
    options.out.mkdir(parents=True, exist_ok=True)
    results = []
    for seed in range(options.seeds):
        result, scores = one_seed(features, np.array(labels), others, seed, options)
        results.append(result)
        print(f"seed {seed}: {', '.join(result['held_out'])} held out", flush=True)
        if seed == 0:
            shown = {name: scores[name] for name in ("softmax", OURS)}
            unknown_figure(shown).savefig(options.out / "unknown.png")
    print(table(results))
    (options.out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def some_of_each(folder: Path, n: int) -> list[str]:
    """Return n files of each subfolder, or all if there are fewer, drawn once and for all, without `LIKE_PETS`."""
    of_class: dict[str, list[str]] = {}
    for file in sorted(list_images(folder).files):
        of_class.setdefault(Path(file).parent.name, []).append(file)
    rng = np.random.default_rng(0)
    return [str(file) for name in sorted(of_class.keys() - LIKE_PETS) for file in rng.permutation(of_class[name])[:n]]


def one_seed(
    features: Tensor, labels: np.ndarray, others: Tensor | None, seed: int, options: argparse.Namespace
) -> tuple[dict[str, Any], dict[str, Scores]]:
    """Hold breeds out, learn from 80% of each other breed, and compare the detectors on the rest.

    Returns:
        Plain values: of each detector its report against the breeds held out and, if there are others, against these;
        and the scores of the known photographs and of the breeds held out.
    """
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
    targets = torch.from_numpy(known.encode(labels[training].tolist()))
    unknown = {"breeds": features[np.flatnonzero(np.isin(labels, held_out))]}
    if others is not None:
        unknown["others"] = others
    result: dict[str, Any] = {"seed": seed, "held_out": held_out, "n_train": len(training)}
    scores: dict[str, Scores] = {}
    for name, score in detectors(features[training], targets, len(known), options.penalty).items():
        inside = score(features[testing]).float().numpy()
        threshold = float(np.quantile(inside, FALSE_ALARMS))
        outside = {what: score(shown).float().numpy() for what, shown in unknown.items()}
        result[name] = {what: detector_report(inside, shown, threshold) for what, shown in outside.items()}
        scores[name] = inside, outside["breeds"]
    return result, scores


def detectors(features: Tensor, targets: Tensor, n_classes: int, penalty: float) -> dict[str, Score]:
    """Return all detectors, which have learned from features (n, F) and classes int64 (n,)."""
    mean, std = features.mean(dim=0), features.std(dim=0).clamp_min(1e-6)
    found: dict[str, Score] = {}
    for name, loss in (("one-vs-rest", OneVsRest()), ("softmax", CrossEntropy())):
        head = train_head((features - mean) / std, targets, loss, n_classes, penalty)
        found[name] = lambda x, head=head, loss=loss: loss.probabilities(head((x - mean) / std).detach()).amax(dim=1)  # type: ignore[misc]
    solved = solve_head(features, targets, n_classes, Head(kind="linear", init="lda"))
    weight, bias = solved.weight.float(), solved.bias.float()
    # Hendrycks and Gimpel (2017); Hendrycks et al. (2022), Scaling out-of-distribution detection.
    found["discriminant"] = lambda x: F.linear(x, weight, bias).softmax(dim=1).amax(dim=1)
    found["discriminant, largest logit"] = lambda x: F.linear(x, weight, bias).amax(dim=1)
    # Sun et al. (2022), Out-of-distribution detection with deep nearest neighbors; ten photographs a breed: the first.
    found["nearest neighbour, length 1"] = lambda x: -torch.cdist(F.normalize(x), F.normalize(features)).amin(dim=1)
    # Lee et al. (2018), A simple unified framework for detecting out-of-distribution samples.
    found["Mahalanobis"] = mahalanobis(features, targets, n_classes)
    of_length_1 = mahalanobis(F.normalize(features), targets, n_classes)
    found["Mahalanobis, length 1"] = lambda x: of_length_1(F.normalize(x))
    found["relative Mahalanobis"] = relative(features, targets, n_classes, SHRINKAGE)
    for shrinkage in (0.1, 0.5, 0.98):
        score = relative(F.normalize(features), targets, n_classes, shrinkage)
        found[f"{OURS}, shrinkage {shrinkage}"] = lambda x, score=score: score(F.normalize(x))  # type: ignore[misc]
    share = max(FALSE_ALARMS, 1 / len(targets))  # the least that few images allow; it moves all scores alike
    found[OURS] = UnknownDetector.fit(features, targets, features, n_classes, share)
    return found


def mahalanobis(features: Tensor, targets: Tensor, n_classes: int) -> Score:
    """Return minus the squared distance to the nearest mean, under the common covariance, shrunk."""
    moments = Moments.of(features.double(), targets, n_classes)
    means = moments.sums / moments.counts[:, None]
    covariance = (moments.products - means.T @ moments.sums) / len(targets)
    factor = torch.linalg.cholesky(shrink(covariance, SHRINKAGE))

    def whitened(x: Tensor) -> Tensor:
        rows: Tensor = torch.linalg.solve_triangular(factor, x.double().T, upper=False).T
        return rows

    return lambda x: -torch.cdist(whitened(x), whitened(means)).square().amin(dim=1)


def relative(features: Tensor, targets: Tensor, n_classes: int, shrinkage: float) -> Score:
    """Return the relative Mahalanobis distance as `UnknownDetector` has it, of features of any length."""
    quadratic, linear, constants = log_ratio(features.double(), targets, n_classes, shrinkage)

    def score(x: Tensor) -> Tensor:
        x = x.double()
        return F.linear(x, linear, constants).amax(dim=1) + ((x @ quadratic) * x).sum(dim=1)

    return score


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


def table(results: list[dict[str, Any]]) -> str:
    """Return mean and standard deviation over the seeds of AUROC and of the share refused, a row a detector."""
    names = [name for name, value in results[0].items() if isinstance(value, dict)]
    shown = list(results[0][names[0]])
    counts = {what: results[0][names[0]][what] for what in shown}
    n = ", ".join(f"{one['n_unknown']} photographs of {what}" for what, one in counts.items())
    lines = [f"{len(results)} seeds, {counts['breeds']['n_known']} known photographs, {n}; mean (sd) over the seeds"]
    for name in names:
        cells = []
        for what in shown:
            area = spread([result[name][what]["auroc"]["value"] for result in results])
            sd = "" if area.sd is None else f" ({area.sd:.3f})"
            refused = np.mean([result[name][what]["unknown_refused"]["value"] for result in results])
            cells.append(f"{what}: AUROC {area.mean:.3f}{sd}, refused {refused:4.0%}")
        lines.append(f"{name:<{max(map(len, names))}}  {'   '.join(cells)}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
