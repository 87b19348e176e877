"""A table with a long tail: classes with ever fewer images to train on, and as many of each to validate on.

    python -m benchmarks.long_tail --images data/caltech101 --out tail.csv

docs/splits.md has the sweeps that train on it.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.images import labels_of
from pets.data.sources.folder import list_images
from pets.files import write_csv

CLASSES, LEAST, VALID = 20, 60, 15
"""Classes, the first by name of those with so many images at least, and images of each to validate on."""
MOST, FEWEST = 40, 3
"""Images to train on, of the first and of the last class; geometrically between."""


def rows(files: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str, str]]:
    """Yield (file, label, part) of files by label, which are taken in their order."""
    chosen = [label for label in sorted(files) if len(files[label]) >= LEAST][:CLASSES]
    for place, label in enumerate(chosen):
        n = round(MOST * (FEWEST / MOST) ** (place / (CLASSES - 1)))
        yield from ((file, label, "valid") for file in files[label][:VALID])
        yield from ((file, label, "train") for file in files[label][VALID : VALID + n])


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.long_tail", description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=Path, required=True, help="folder of the images")
    parser.add_argument("--out", type=Path, required=True, help="the table")
    options = parser.parse_args()
    by_label: dict[str, list[str]] = {}
    listed = list_images(options.images).files
    for file, label in zip(listed, labels_of(listed), strict=True):
        by_label.setdefault(label, []).append(file)
    write_csv(options.out, ["file", "label", "part"], rows(by_label))


if __name__ == "__main__":
    main()
