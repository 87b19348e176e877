"""`python -m benchmarks.book`: train the experiments of the fastai book's chapter 5 and set ours beside theirs.

As they are, they need Oxford-IIIT Pet, torchvision's weights and a GPU on this machine, and fetch none of them. With
--images and overrides for a network that is at hand, the same recipes run on other photographs, all but the one in half
precision: their errors are not the book's, but which recipe is better than which can be compared. The runs are a sweep:
started again with the same folder, it does what is missing.
"""

import argparse
import csv
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from benchmarks.accuracy import subset, write_tables
from benchmarks.ours import of_table
from benchmarks.processes import REPOSITORY
from pets.evaluation.figures.style import GRID, SERIES, styled, write_figure
from pets.evaluation.intervals import spread, wilson
from pets.runs.run_folder import RunFolder
from pets.sweep.ranking import settings
from pets.sweep.ranking import table as aligned
from pets.sweep.record import read_jobs


class Errors(NamedTuple):
    """Error rates of one run: after its frozen phase, and after its last epoch."""

    frozen: float
    last: float


BOOK = {
    "book_baseline": Errors(0.1062, 0.080514),
    "book_high_lr": Errors(0.5041, 0.834235),
    "book_lr_find": Errors(0.1143, 0.083221),
    "book_unfreeze": Errors(0.0744, 0.059540),
    "book_discriminative": Errors(0.0690, 0.054127),
    "book_resnet50": Errors(0.0913, 0.054804),
}
"""Experiment and what the book prints for it."""
BOOK_IMAGES = 1478
"""Images of the book's validation set: 20% of 7,390, one random split."""
ARCHS = ("resnet34", "resnet50")
Curve = Sequence[tuple[str, float]]
"""Phase and error rate of each epoch of a run."""


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


def curves(sweep: Path) -> tuple[dict[str, list[Curve]], int]:
    """Return the runs of each experiment, read from their history.csv, and the number of validation images."""
    found: dict[str, list[Curve]] = {name: [] for name in BOOK}
    images = 0
    for job in read_jobs(sweep):
        with open(RunFolder(sweep / job.name).history, encoding="utf-8", newline="") as file:
            rows = [(row["phase"], float(row["error_rate"])) for row in csv.DictReader(file)]
        found[settings(job)["experiment"]].append(rows)
        images = job.images or images
    return found, images


def errors(curve: Curve) -> Errors:
    """Return what the table shows of one run."""
    return Errors([error for phase, error in curve if phase == "frozen"][-1], curve[-1][1])


def table(runs: Mapping[str, Sequence[Curve]], images: int) -> str:
    """Return theirs and ours as Markdown: one run there, the mean over seeds here.

    Args:
        runs: The runs of each experiment; one without runs is left out.
        images: Validation images of ours.
    """
    rows = []
    for name, theirs in BOOK.items():
        ours = [errors(curve) for curve in runs[name]]
        if not ours:
            continue
        frozen, last = spread([each.frozen for each in ours]), spread([each.last for each in ours])
        sd = "" if last.sd is None else f"{last.sd:.4f}"
        cells = [f"{theirs.frozen:.4f}", _cell(theirs.last, BOOK_IMAGES), f"{frozen.mean:.4f}"]
        rows.append([name, *cells, _cell(last.mean, images), sd, str(last.n)])
    heads = ["experiment", "book: frozen", "book: last", "ours: frozen", "ours: last", "sd", "seeds"]
    about = "Error rate after the frozen phase and after the last epoch, with the 95% Wilson interval on the validation"
    about += f" images of one run: {BOOK_IMAGES:,} in the book, {images:,} here"
    return f"{about}\n\n{aligned(heads, rows)}\n"


def _cell(rate: float, images: int) -> str:
    interval = wilson(round(rate * images), images)
    return f"{rate:.4f} ({interval.low:.3f} to {interval.high:.3f})"


@styled
def picture(runs: Mapping[str, Sequence[Curve]]) -> Figure:
    """Draw the error rate after each epoch of the first run of each experiment; hollow: frozen."""
    figure = Figure(figsize=(7, 4))
    axes = figure.subplots()
    for colour, (name, found) in zip(SERIES, runs.items(), strict=False):
        for curve in found[:1]:
            epochs, rates = range(1, len(curve) + 1), [100 * error for _, error in curve]
            n_frozen = sum(phase == "frozen" for phase, _ in curve)
            axes.plot(epochs, rates, color=colour, label=name.removeprefix("book_"))
            axes.plot(epochs[:n_frozen], rates[:n_frozen], "o", color=colour, markerfacecolor="white")
            axes.plot(epochs[n_frozen:], rates[n_frozen:], "o", color=colour)
    axes.set(yscale="log", xlabel="epoch", ylabel="error rate on validation images, %")
    axes.yaxis.set_major_formatter("{x:.3g}")
    axes.yaxis.set_minor_formatter("{x:.3g}")
    axes.grid(color=GRID, which="both")
    axes.legend()
    return figure


def train(arguments: argparse.Namespace) -> None:
    """Run the sweep of the experiments, or what is missing of it.

    Raises:
        SystemExit: Something that they need is not at hand, or a run failed.
    """
    if arguments.images:
        arguments.out.mkdir(parents=True, exist_ok=True)
        files, labels = subset(arguments.images, None, arguments.per_class)
        data = of_table(arguments.images.resolve(), write_tables(arguments.out, files, labels)[0].resolve())
        names = [name for name in BOOK if name != "book_resnet50"]
    else:
        absent = missing(arguments.root)
        if absent:
            sys.exit("\n".join(["nothing is measured, for want of", *(f"  {line}" for line in absent)]))
        data, names = [f"data.root='{arguments.root.absolute()}'"], list(BOOK)
    seeds = ",".join(str(seed) for seed in range(arguments.seeds))
    typed = [f"experiment={','.join(names)}", f"seed={seeds}", *data, *arguments.overrides]
    typed.append(f"hydra.sweep.dir='{arguments.out.absolute()}'")
    command = [sys.executable, str(REPOSITORY / "train.py"), "-m", *typed]
    if subprocess.run(command, check=False).returncode:
        sys.exit(f"no table: some of the runs failed, see {arguments.out / 'leaderboard.md'}")


def main() -> None:
    """Train everything, or say what is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.book", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("data"), help="folder that holds oxford-iiit-pet")
    parser.add_argument("--images", type=Path, help="other photographs: a folder of class folders")
    parser.add_argument("--per-class", type=int, help="how many of them of each class at most; all, if not given")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each experiment")
    parser.add_argument("--out", type=Path, default=Path("outputs/book"), help="folder of runs, book.md and book.png")
    parser.add_argument("overrides", nargs="*", help="typed for every run, such as model=timm model.arch=NAME")
    arguments = parser.parse_args()
    train(arguments)
    runs, images = curves(arguments.out)
    text = table(runs, images)
    (arguments.out / "book.md").write_text(text, encoding="utf-8")
    write_figure(arguments.out / "book.png", picture(runs))
    print(text)


if __name__ == "__main__":
    main()
