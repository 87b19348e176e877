"""`python -m benchmarks.book`: train the experiments of the fastai book's chapter 5 and set ours beside theirs.

Needs Oxford-IIIT Pet, torchvision's weights and a GPU on this machine, and fetches none of them. The runs are a sweep:
started again with the same folder, it does what is missing.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from pets.evaluation.intervals import spread, wilson
from pets.sweep.ranking import settings
from pets.sweep.ranking import table as aligned
from pets.sweep.record import Job, read_jobs

BOOK = {
    "book_baseline": 0.080514,
    "book_high_lr": 0.834235,
    "book_lr_find": 0.083221,
    "book_unfreeze": 0.059540,
    "book_discriminative": 0.054127,
    "book_resnet50": 0.054804,
}
"""Experiment and the error rate that the book prints for its last epoch."""
BOOK_IMAGES = 1478
"""Images of the book's validation set: 20% of 7,390, one random split."""
ARCHS = ("resnet34", "resnet50")


def missing(root: Path) -> list[str]:
    """Return what is not at hand, one line each; empty if everything is.

    Args:
        root: The folder that holds `oxford-iiit-pet/images`.
    """
    import torch
    from torchvision.models import get_model_weights

    images = root / "oxford-iiit-pet" / "images"
    found = sum(1 for _ in images.glob("*.jpg"))
    absent = [] if found >= 7390 else [f"Oxford-IIIT Pet: {images} holds {found} of its 7,390 photographs"]
    for arch in ARCHS:
        url = get_model_weights(arch)["IMAGENET1K_V1"].url  # type: ignore[index]
        file = Path(torch.hub.get_dir(), "checkpoints", url.rsplit("/", 1)[1])
        absent += [] if file.is_file() else [f"weights of {arch}: {file} does not exist"]
    return absent + ([] if torch.cuda.is_available() else ["a CUDA GPU: book_resnet50 trains in half precision"])


def table(jobs: Iterable[Job]) -> str:
    """Return theirs and ours as Markdown: one run there, the mean over seeds here, each on one random split."""
    runs: dict[str, list[Job]] = {name: [] for name in BOOK}
    for job in jobs:
        runs[settings(job)["experiment"]].append(job)
    rows = []
    for name, printed in BOOK.items():
        ours = spread([job.error_rate.value for job in runs[name] if job.error_rate])
        sd = "" if ours.sd is None else f"{ours.sd:.4f}"
        rows.append([name, _cell(printed), _cell(ours.mean), sd, str(ours.n)])
    about = f"Error rate after the last epoch, with the 95% Wilson interval on {BOOK_IMAGES} images"
    return f"{about}\n\n{aligned(['experiment', 'theirs, one run', 'ours, mean', 'sd', 'seeds'], rows)}\n"


def _cell(rate: float) -> str:
    interval = wilson(round(rate * BOOK_IMAGES), BOOK_IMAGES)
    return f"{rate:.4f} ({interval.low:.3f} to {interval.high:.3f})"


def main() -> None:
    """Train everything, or say what is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.book", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("data"), help="folder that holds oxford-iiit-pet")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each experiment")
    parser.add_argument("--out", type=Path, default=Path("outputs/book"), help="folder of the runs and of book.md")
    arguments = parser.parse_args()
    absent = missing(arguments.root)
    if absent:
        sys.exit("\n".join(["nothing is measured, for want of", *(f"  {line}" for line in absent)]))
    train = Path(__file__).parents[1] / "train.py"
    overrides = [
        f"experiment={','.join(BOOK)}",
        f"seed=range({arguments.seeds})",
        f"data.root='{arguments.root.absolute()}'",
        f"hydra.sweep.dir='{arguments.out.absolute()}'",
    ]
    sweep = subprocess.run([sys.executable, str(train), "-m", *overrides], check=False)
    if sweep.returncode:
        sys.exit(f"no table: some of the runs failed, see {arguments.out / 'leaderboard.md'}")
    text = table(read_jobs(arguments.out))
    (arguments.out / "book.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
