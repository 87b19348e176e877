"""The photographs a benchmark runs on: a folder, or a set drawn with the size and the fine detail of photographs."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
from PIL import Image, ImageDraw

from pets.data.labels import ParentLabeller, RegexLabeller

BREEDS, PER_BREED = 37, 10
COATS = ((176, 124, 74), (112, 108, 110), (206, 176, 132), (92, 66, 50), (198, 190, 184))


@dataclass(frozen=True)
class ImageSet:
    """JPEG files named `<breed>_<number>.jpg` and what to call them in a report."""

    files: tuple[Path, ...]
    described: str

    @property
    def root(self) -> Path:
        """The folder that holds the files."""
        return self.files[0].parent

    @property
    def key(self) -> str:
        """A name for folders made of these images, so that those of two sets never mix."""
        return f"{self.root.name}_{crc32(repr(self.files).encode()):08x}"


def labels_of(files: Sequence[str]) -> list[str]:
    """Return the label of each file: its folder or, where all lie in one, what stands before the number in its name."""
    labeller = ParentLabeller() if any("/" in file for file in files) else RegexLabeller(r"(.+)_\d+\.\w+$")
    return labeller(files)


def find_images(folder: Path | None, cache: Path) -> ImageSet:
    """Return the set in `folder`, else the photographs PETS_REAL_DATA names, else a set drawn into `cache`.

    Raises:
        FileNotFoundError: `folder` holds no `*.jpg`.
    """
    real = os.environ.get("PETS_REAL_DATA")
    if folder is None and real:
        folder = Path(real) / "data" / "pets37x10"
    described = f"the photographs of {folder}"
    if folder is None:
        folder = _drawn_set(cache / f"drawn_{BREEDS}x{PER_BREED}")
        described = "a drawn set of photograph-like size and detail (PETS_REAL_DATA is not set)"
    files = tuple(sorted(folder.glob("*.jpg")))
    if not files:
        raise FileNotFoundError(f"images: no *.jpg in {folder}")
    return ImageSet(files, f"{len(files)} images: {described}")


def repeated(images: ImageSet, times: int, cache: Path) -> Path:
    """Return a folder in which every image appears `times` times, as links, named `<breed>_<number><copy>.jpg`."""
    links = {f"{file.stem}{copy:03d}.jpg": file for copy in range(times) for file in images.files}
    return _links(cache / f"{images.key}_x{times}", links)


def thinned(images: ImageSet, n: int, cache: Path) -> Path:
    """Return a folder of links to the first `n` images."""
    return _links(cache / f"{images.key}_first_{n}", {file.name: file for file in images.files[:n]})


def _links(folder: Path, targets: Mapping[str, Path]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    present = set(os.listdir(folder))
    for name, target in targets.items():
        if name not in present:
            (folder / name).symlink_to(target.resolve())
    return folder


def _drawn_set(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for breed in range(BREEDS):
        for number in range(PER_BREED):
            width, height = (int(side) for side in rng.integers((300, 250), (560, 520)))
            path = folder / f"Breed_{breed:02d}_{number}.jpg"
            if not path.exists():
                paint_photograph(np.random.default_rng((breed, number)), width, height).save(path, quality=92)
    return folder


def paint_photograph(rng: np.random.Generator, width: int, height: int, oversample: int = 2) -> Image.Image:
    """Draw an animal's face with detail near the limit of the pixels: fur, whiskers, irises, stripes.

    Args:
        rng: Decides colours and every hair.
        width: Width of the result in pixels.
        height: Height of the result in pixels.
        oversample: Drawn this many times larger and reduced, so that hairs are thinner than a pixel without steps.
    """
    w, h = width * oversample, height * oversample
    coat = COATS[rng.integers(len(COATS))]
    image = Image.new("RGB", (w, h), tuple(int(v) for v in rng.integers(40, 200, 3)))
    canvas = ImageDraw.Draw(image)
    centre, radius = np.array([w, 1.15 * h]) / 2, 0.4 * min(w, h)
    _disc(canvas, centre, radius, tuple(coat))
    for side in (-1, 1):
        ear = [tuple(centre + radius * np.array([side * x, y])) for x, y in ((0.9, -0.3), (0.85, -1.2), (0.2, -0.95))]
        canvas.polygon(ear, fill=tuple(c - 25 for c in coat))
    _hairs(canvas, rng, np.array(coat), centre, radius)
    iris = rng.integers(90, 220, 3)
    for side in (-1, 1):
        _eye(canvas, rng, iris, centre + radius * np.array([0.38 * side, -0.18]), 0.17 * radius)
        _whiskers(canvas, rng, centre + radius * np.array([0.12 * side, 0.34]), side, radius)
    nose = [tuple(centre + radius * np.array(p)) for p in ((-0.11, 0.16), (0.11, 0.16), (0.0, 0.3))]
    canvas.polygon(nose, fill=(50, 30, 35))
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BOX))
    grain = rng.normal(0, 5, (height, width, 1))
    return Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8))


def _hairs(
    canvas: ImageDraw.ImageDraw, rng: np.random.Generator, coat: np.ndarray, centre: np.ndarray, radius: float
) -> None:
    n = 9000
    distance, around = radius * np.sqrt(rng.random(n)), rng.uniform(0, 2 * np.pi, n)
    direction = np.stack([np.cos(around), np.sin(around)], 1)
    roots = centre + direction * distance[:, None]
    tips = roots + direction * rng.uniform(0.05, 0.14, (n, 1)) * radius + rng.normal(0, 0.02 * radius, (n, 2))
    stripes = 25 * np.sign(np.sin(9 * around + 0.03 * distance))
    shades = np.clip(coat + stripes[:, None] + rng.normal(0, 30, (n, 1)), 0, 255).astype(int)
    for order in np.argsort(-distance):
        canvas.line([tuple(roots[order]), tuple(tips[order])], fill=tuple(shades[order].tolist()), width=1)


def _eye(
    canvas: ImageDraw.ImageDraw, rng: np.random.Generator, iris: np.ndarray, centre: np.ndarray, radius: float
) -> None:
    _disc(canvas, centre, radius, (20, 20, 20))
    for angle in np.linspace(0, 2 * np.pi, 150, endpoint=False):
        shade = np.clip(iris + rng.normal(0, 50), 0, 255).astype(int)
        tip = centre + 0.92 * radius * np.array([np.cos(angle), np.sin(angle)])
        canvas.line([tuple(centre), tuple(tip)], fill=tuple(shade.tolist()), width=1)
    _disc(canvas, centre, 0.4 * radius, (5, 5, 5))
    _disc(canvas, centre - 0.25 * radius, 0.12 * radius, (250, 250, 250))


def _disc(canvas: ImageDraw.ImageDraw, centre: np.ndarray, radius: float, fill: tuple[int, ...]) -> None:
    canvas.ellipse([*(centre - radius), *(centre + radius)], fill=fill)


def _whiskers(
    canvas: ImageDraw.ImageDraw, rng: np.random.Generator, root: np.ndarray, side: int, radius: float
) -> None:
    for slope in np.linspace(-0.35, 0.45, 7):
        tip = root + radius * np.array([side * rng.uniform(0.6, 0.85), slope * 0.8])
        canvas.line([tuple(root), tuple(tip)], fill=(245, 245, 240), width=2)
