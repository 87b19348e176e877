"""How much sharpness each route from the decoded pixels to the network's 224 x 224 keeps, in decibels of an oracle.

All routes show the same random view (crop, zoom, rotation). They differ in how often they resample on the way.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torchvision.transforms.v2.functional as V
from PIL import Image, ImageDraw
from torch import Tensor

from benchmarks import rivals
from benchmarks.harness import Claim, Table
from benchmarks.images import paint_photograph
from benchmarks.oracle import View, inside, oracle, psnr, sample
from benchmarks.settings import Settings
from pets.augment import geometry
from pets.augment.batch import BatchTransform
from pets.data.presize import Presize

PRESIZE, SIZE = 460, 224
CHAIN, FASTAI = "traditional chain", "fastai"
OURS = f"ours ({Presize().size} {Presize().interpolation})"
ONE, NATIVE, NATIVE4 = "presize 460, one sampling", "native, one sampling", "native, 2x2 samples"
CUBIC = "presize 460 bicubic, one sampling"
PICTURED = (CHAIN, FASTAI, OURS, NATIVE, NATIVE4)

Route = Callable[[Tensor, View], Tensor]
"""uint8 (3, S, S) native square -> float or uint8 (3, 224, 224) in [0, 255]."""


def chain(square: Tensor, view: View) -> Tensor:
    """Resize to the canvas, rotate, crop and resize: three resamplings with 8 bits between, as Pillow does them."""
    image = Image.fromarray(square.permute(1, 2, 0).numpy())
    image = image.resize((view.canvas, view.canvas), Image.Resampling.BILINEAR)
    image = image.rotate(-view.degrees, Image.Resampling.BILINEAR)
    s = 1 / view.zoom
    x = (1 - s) * view.zoom_x * view.canvas + s * view.left
    y = (1 - s) * view.zoom_y * view.canvas + s * view.top
    box = (x, y, x + s * view.side, y + s * view.side)
    image = image.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=box)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def fastai_route(square: Tensor, view: View) -> Tensor:
    """Resize(460), the affine group with fixed draws, RandomResizedCropGPU with a fixed window, by fastai itself."""
    fastai = rivals.vision()
    item = fastai.PILImage.create(square.permute(1, 2, 0).numpy())
    item = fastai.Resize(view.canvas)(item, split_idx=1)
    batch = fastai.IntToFloatTensor()(fastai.TensorImage(fastai.image2tensor(item))[None])
    rotate = fastai.Rotate(p=1.0, draw=view.degrees)
    zoom = fastai.Zoom(p=1.0, draw=view.zoom, draw_x=view.zoom_x, draw_y=view.zoom_y)
    for transform in fastai.setup_aug_tfms([rotate, zoom]):
        batch = transform(batch, split_idx=0)
    crop = fastai.RandomResizedCropGPU(SIZE, min_scale=0.75, ratio=(1, 1))
    crop.tl, crop.cp_size = (view.top, view.left), (view.side, view.side)
    return Tensor(crop.encodes(batch))[0] * 255


def ours(square: Tensor, view: View) -> Tensor:
    """Go the way of a training batch, with the view's parameters in place of drawn ones."""
    canvas, side = Presize()(square)
    sides = torch.tensor([float(side)])
    free = max(view.canvas - view.side, 1)
    values = {
        "window": view.side / view.canvas,
        "window_x": view.left / free,
        "window_y": view.top / free,
        "flip": 1.0,
        "angle": math.radians(view.degrees),
        "zoom": view.zoom,
        "zoom_x": view.zoom_x,
        "zoom_y": view.zoom_y,
        "warp_x": 0.0,
        "warp_y": 0.0,
    }
    parameters = geometry.Geometry(**{name: torch.tensor([value]) for name, value in values.items()})
    supersample = BatchTransform().supersample
    return geometry.resample(canvas[None], sides, geometry.homography(parameters), SIZE, supersample)[0] * 255


def presized(square: Tensor, view: View, mode: str = "bilinear") -> Tensor:
    """Resize to a canvas with antialiasing, then sample the view once, bilinearly."""
    canvas = V.resize(square, [PRESIZE, PRESIZE], interpolation=V.InterpolationMode(mode), antialias=True)
    return sample(canvas, view.mapping(PRESIZE, SIZE), SIZE, oversample=1)


def native(square: Tensor, view: View, oversample: int = 1) -> Tensor:
    """Sample the view bilinearly from the decoded pixels."""
    return sample(square, view.mapping(square.shape[-1], SIZE), SIZE, oversample)


ROUTES: dict[str, Route] = {
    CHAIN: chain,
    FASTAI: fastai_route,
    OURS: ours,
    ONE: presized,
    CUBIC: partial(presized, mode="bicubic"),
    NATIVE: native,
    NATIVE4: partial(native, oversample=2),
}


def routes() -> dict[str, Route]:
    """Return the routes that can run here."""
    return {name: route for name, route in ROUTES.items() if name != FASTAI or rivals.available()}


def decibels(square: Tensor, view: View) -> dict[str, float]:
    """Return the PSNR of every route on one square; fastai's is held to an oracle of its own pixel grid."""
    side = square.shape[-1]
    mappings = {False: view.mapping(side, SIZE), True: view.corner_mapping(side, SIZE)}
    ideals = {corners: oracle(square, mapping, SIZE) for corners, mapping in mappings.items()}
    masks = {corners: inside(side, mapping, SIZE) for corners, mapping in mappings.items()}
    return {
        name: psnr(route(square, view), ideals[name == FASTAI], masks[name == FASTAI])
        for name, route in routes().items()
    }


def centre_square(image: Image.Image) -> Tensor:
    """Return the centre square of a picture, uint8 (3, S, S), without resampling."""
    side = min(image.size)
    left, top = ((length - side) // 2 for length in image.size)
    pixels = np.array(image.convert("RGB").crop((left, top, left + side, top + side)))
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def measure(settings: Settings) -> Iterator[Table]:
    """Yield the PSNR table over every fourth photograph, and draw the routes side by side."""
    files = settings.images.files[::4]
    table = Table("quality", f"Sharpness against the oracle, one view each of {len(files)} images", "dB", 1, mean=True)
    table.measures = {name: [] for name in routes()}
    for number, path in enumerate(files):
        view = View.draw(np.random.default_rng(number), PRESIZE)
        for name, value in decibels(centre_square(Image.open(path)), view).items():
            table.measures[name].append(value)
    table.claims = [
        Claim(OURS, at_least=44.5),
        Claim(OURS, FASTAI, at_least=3.5, difference=True),
        Claim(OURS, CHAIN, at_least=7.0, difference=True),
    ]
    yield table
    picture(settings.out / "sharpness.png")


def picture(path: Path, side: int = 64, enlarge: int = 5, columns: int = 3) -> None:
    """Save the routes and the oracle as tiles: the same `side` pixels of a drawn animal, enlarged without smoothing.

    Each tile says how close the whole view is to the oracle.
    """
    square = centre_square(paint_photograph(np.random.default_rng(7), 400, 400))
    view = View(PRESIZE, 12, 20, 420, 1.06, 0.4, 0.5, -8.0)
    values = decibels(square, view)
    shown = {f"{name}: {values[name]:.1f} dB": ROUTES[name](square, view) for name in PICTURED if name in values}
    shown["oracle: 8x8 bicubic samples"] = oracle(square, view.mapping(square.shape[-1], SIZE), SIZE)
    edge, caption, gap = side * enlarge, 30, 12
    rows = math.ceil(len(shown) / columns)
    sheet = Image.new("RGB", (columns * (edge + gap) + gap, rows * (edge + caption + gap)), "white")
    for place, (title, pixels) in enumerate(shown.items()):
        row, column = divmod(place, columns)
        corner = (gap + column * (edge + gap), caption + row * (edge + caption + gap))
        window = pixels[:, 88 : 88 + side, 48 : 48 + side].float().round().clamp(0, 255).byte()
        tile = Image.fromarray(window.permute(1, 2, 0).numpy()).resize((edge, edge), Image.Resampling.NEAREST)
        sheet.paste(tile, corner)
        ImageDraw.Draw(sheet).text((corner[0], corner[1] - 6), title, fill="black", font_size=18, anchor="ls")
    sheet.save(path)
