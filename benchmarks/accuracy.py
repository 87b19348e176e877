"""`python -m benchmarks accuracy --images FOLDER`: the same photographs, weights and epochs through fastai and here.

Both sides read one table and get the same pretrained network of timm: fastai through `vision_learner` and `fine_tune`
as in the book's chapter 5, ours as `python train.py` has it. Seed S validates on fold S of five, so that over
five seeds each image is judged once, by networks that have not seen it, and the pairs of verdicts are independent
enough for an exact McNemar test. The sides take turns within a seed. Minutes count from the start of the process to the
end of an epoch's validation; processor minutes, of main process and workers, tell more on a machine that others use.

Started again with the same --out, it does what is missing.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks import rivals
from benchmarks.accuracy_report import Measured, markdown, picture
from benchmarks.images import labels_of
from benchmarks.processes import REPOSITORY
from benchmarks.report import machine
from benchmarks.training_side import PRETRAINED, Run
from pets.data.groups import fold_of
from pets.data.labels import Vocab
from pets.data.sources.folder import list_images
from pets.evaluation.figures.style import write_figure
from pets.files import write_csv

FOLDS = 5


def subset(root: Path, classes: int | None, per_class: int | None) -> tuple[list[str], list[str]]:
    """Return files and labels: the first images, by name, of classes that are spread evenly over the alphabet.

    The label is the folder of a file or, where all lie directly in `root`, what its name begins with.

    Args:
        root: Folder of the images.
        classes: How many classes; None: all.
        per_class: How many images of each at most; None: all.
    """
    files = list_images(root, key="--images").files
    labels = labels_of(files)
    names = sorted(set(labels))
    if classes is not None and classes < len(names):
        names = [names[place] for place in np.linspace(0, len(names) - 1, classes).round().astype(int)]
    by_class: dict[str, list[str]] = {name: [] for name in names}
    for file, label in zip(files, labels, strict=True):
        if label in by_class:
            by_class[label].append(file)
    chosen = [(file, name) for name, members in by_class.items() for file in members[:per_class]]
    return [file for file, _ in chosen], [name for _, name in chosen]


def write_tables(folder: Path, files: Sequence[str], labels: Sequence[str]) -> list[Path]:
    """Write a table of files, labels and who validates for each fold, and return their paths."""
    fold = fold_of(Vocab.from_labels(labels).encode(labels), None, FOLDS, state=42)
    paths = [folder / f"fold_{number}.csv" for number in range(FOLDS)]
    for number, path in enumerate(paths):
        is_valid = ("true" if own == number else "false" for own in fold.tolist())
        write_csv(path, ["file", "label", "is_valid"], zip(files, labels, is_valid, strict=True))
    return paths


def train(side: str, run: Run, name: str, out: Path) -> Measured:
    """Train in a new process, or read what an earlier one has left.

    Raises:
        subprocess.CalledProcessError: It failed; what it said is in `<name>.log` beside its result.
    """
    result = out / f"{re.sub(r'[^a-z0-9]+', '_', name.lower())}_seed_{run.seed}.json"
    asked = asdict(run) | {"overrides": list(run.overrides)}  # as JSON gives it back
    if not result.exists() or json.loads(result.read_text())["run"] != asked:
        request = result.with_suffix(".request")
        request.write_text(json.dumps(asked | {"started": time.time()}))
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.training_side", side, str(request), str(result)]
        with open(result.with_suffix(".log"), "w") as log:
            subprocess.run(command, cwd=REPOSITORY, check=True, stdout=log, stderr=log)
    return Measured.read(name, json.loads(result.read_text()))


def main(arguments: Sequence[str]) -> None:
    """Measure, print the tables, and keep every figure as JSON."""
    options = parse(arguments)
    out, root = options.out.resolve(), options.images.resolve()
    out.mkdir(parents=True, exist_ok=True)
    files, labels = subset(root, options.classes, options.per_class)
    tables = write_tables(out, files, labels)
    contenders = {"ours": ("ours", ())} | ({"fastai": ("fastai", ())} if rivals.available() else {})
    contenders |= {f"ours, {typed}": ("ours", tuple(typed.split())) for typed in options.also}
    weights = options.weights if options.weights == PRETRAINED else str(Path(options.weights).resolve())
    facts = machine() | {"host": platform.node(), "load_average": round(os.getloadavg()[0], 1)}
    facts |= {"images": root.name, "classes": len(set(labels)), "n": len(files)}
    measured: list[Measured] = []
    for seed in options.seeds:
        for name, (side, overrides) in contenders.items():
            table = str(tables[seed % FOLDS])
            run = Run(str(root), table, options.arch, weights, options.size, options.epochs, seed, overrides)
            measured.append(train(side, run, name, out))
            print(measured[-1], flush=True)
        _keep(options, facts, measured)
    print(markdown(measured) if rivals.available() else f"{rivals.MISSING}\n\n{markdown(measured)}")


def _keep(options: argparse.Namespace, facts: dict[str, object], measured: Sequence[Measured]) -> None:
    """Write what there is so far: figures, tables and picture."""
    settings = {key: options.__dict__[key] for key in ("arch", "size", "epochs", "classes", "per_class")}
    body = {"machine": facts, "settings": settings, "runs": [each.plain() for each in measured]}
    options.out.joinpath("accuracy.json").write_text(json.dumps(body, indent=1) + "\n")
    options.out.joinpath("accuracy.md").write_text(markdown(measured))
    write_figure(options.out / "accuracy.png", picture(measured))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read a command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks accuracy", description=__doc__)
    parser.add_argument(
        "--images", type=Path, required=True, help="folder of class folders, or of <label>_<number>.jpg"
    )
    parser.add_argument("--weights", default=PRETRAINED, help="path of a state dict; default: timm's own, from the hub")
    parser.add_argument("--arch", default="tf_efficientnet_lite0", help="a model of timm")
    parser.add_argument("--classes", type=int, help="how many classes; all, if not given")
    parser.add_argument("--per-class", type=int, help="how many images of each at most; all, if not given")
    parser.add_argument("--size", type=int, default=rivals.SIZE, help="side of the images in pixels")
    parser.add_argument("--epochs", type=int, default=2, help="of fine_tune, after its frozen one")
    parser.add_argument("--seeds", type=int, nargs="+", default=range(FOLDS), help="seeds; seed S validates on fold S")
    parser.add_argument(
        "--also", action="append", default=[], metavar="'KEY=VALUE ...'", help="ours once more, so changed"
    )
    parser.add_argument("--out", type=Path, default=Path("outputs/accuracy"), help="folder of the results")
    return parser.parse_args(arguments)
