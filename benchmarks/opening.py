"""`python -m benchmarks.opening TOP_LOSSES SHARPNESS SWEEP`: the picture that opens the README.

Its parts come from a run (`top_losses.png`), from `python -m benchmarks quality` and from a sweep (`sweep.png`), all of
drawn animals: nobody's photograph is shown.
"""

import argparse
from pathlib import Path

from PIL import Image

WIDTH, GAP = 1424, 24
"""Of the picture and between its parts, in pixels."""


def opening(top_losses: Image.Image, sharpness: Image.Image, sweep: Image.Image) -> Image.Image:
    """Return the mistakes above, sharpness and sweep side by side below, none of them enlarged unequally."""
    first = _scaled(top_losses, width=WIDTH)
    room = WIDTH - GAP
    # Side by side at one height, they fill the width.
    height = round(room / (sharpness.width / sharpness.height + sweep.width / sweep.height))
    left = _scaled(sharpness, width=round(sharpness.width * height / sharpness.height))
    right = _scaled(sweep, width=room - left.width)
    below = first.height + GAP
    picture = Image.new("RGB", (WIDTH, below + max(left.height, right.height)), "white")
    picture.paste(first, (0, 0))
    picture.paste(left, (0, below))
    picture.paste(right, (left.width + GAP, below))
    return picture


def _scaled(image: Image.Image, width: int) -> Image.Image:
    size = width, round(image.height * width / image.width)
    return image.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def main() -> None:
    """Write docs/images/opening.png."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.opening", description=__doc__.split("\n")[0])
    parser.add_argument("pictures", type=Path, nargs=3, metavar=("TOP_LOSSES", "SHARPNESS", "SWEEP"))
    parser.add_argument("--out", type=Path, default=Path("docs/images/opening.png"))
    options = parser.parse_args()
    opening(*map(Image.open, options.pictures)).save(options.out, optimize=True)


if __name__ == "__main__":
    main()
