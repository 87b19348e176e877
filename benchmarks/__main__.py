"""`python -m benchmarks [part ...]`: measure, print the tables, and write results.json and results.md.

`python -m benchmarks accuracy --help`: a command line of its own, since it takes an hour and any folder.
"""

import argparse
import importlib
import sys
from pathlib import Path

from benchmarks import report
from benchmarks.harness import Table
from benchmarks.images import find_images
from benchmarks.settings import Settings

PARTS = (
    "input",
    "batch",
    "step",
    "epoch",
    "startup",
    "memory",
    "predict",
    "scaling",
    "files",
    "quality",
    "parity",
    "gpu",
)


def main() -> None:
    """Run the parts in turn; every finished table is on disk before the next one starts."""
    if sys.argv[1:2] == ["accuracy"]:
        importlib.import_module("benchmarks.accuracy").main(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, "all"], default="all", help="what to measure")
    parser.add_argument("--images", type=Path, help="folder of *.jpg named <breed>_<number>.jpg")
    parser.add_argument("--repeats", type=int, default=7, help="interleaved rounds that count")
    parser.add_argument("--out", type=Path, default=Path("outputs/benchmarks"), help="folder of the report")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    settings = Settings(find_images(arguments.images, arguments.out), arguments.repeats, arguments.out)
    facts = report.machine() | {"images": settings.images.described}
    tables: list[Table] = []
    for part in PARTS if "all" in arguments.parts else arguments.parts:
        for table in importlib.import_module(f"benchmarks.{part}").measure(settings):
            print(report.markdown(table), flush=True)
            tables.append(table)
            report.write(settings.out, facts, tables)


if __name__ == "__main__":
    main()
