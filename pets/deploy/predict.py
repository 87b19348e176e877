"""Predict photographs with the model beside this file: python predict.py photo.jpg [more photographs].

Needs NumPy, Pillow and either onnxruntime (if model.onnx is there) or torch (for model.pt2), and nothing else.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Image8 = NDArray[np.uint8]
Floats = NDArray[np.float64]
Model = Callable[[Image8], list[NDArray[np.float32]]]

FOLDER = Path(__file__).resolve().parent
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
KERNELS: dict[str, tuple[float, Callable[[Floats], Floats]]] = {
    "bilinear": (1.0, lambda x: 1 - x),
    "bicubic": (2.0, lambda x: np.where(x < 1, (1.5 * x - 2.5) * x * x + 1, ((2.5 - 0.5 * x) * x - 4) * x + 2)),
}
"""Radius of a kernel, and its values at distances from 0 to the radius."""


def main() -> None:
    """Print the five most probable classes of each photograph."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("photos", nargs="+", metavar="PHOTO")
    metadata = json.loads((FOLDER / "model.json").read_text(encoding="utf-8"))
    photos = parser.parse_args().photos
    run = load()
    for photo in photos:
        probabilities, *familiarity = run(presized(read(photo), **metadata["presize"]))
        best = np.argsort(-probabilities, kind="stable")[:5]
        known = metadata["threshold"] is None or probabilities[best[0]] >= metadata["threshold"]
        known = known and all(value >= 0 for value in familiarity)
        ranking = ", ".join(f"{metadata['classes'][index]} {probabilities[index]:.4f}" for index in best)
        print(f"{photo}: {ranking if known else f'none of the classes ({ranking})'}")


def load() -> Model:
    """Return the model: from a square uint8 (S, S, 3) to a probability for each class, float32 (C,), and how familiar
    the square is, float32 (), if the model tells what shows none of its classes: that is so below 0."""
    if (FOLDER / "model.onnx").exists():
        try:
            import onnxruntime
        except ImportError:
            pass
        else:
            session = onnxruntime.InferenceSession(FOLDER / "model.onnx", providers=["CPUExecutionProvider"])
            return lambda square: [x[0] for x in session.run(None, {"images": square.transpose(2, 0, 1)[None]})]
    import torch

    # Where a file of this kind holds a pickle, torch opens it. There is none in this one; open none of a stranger's.
    program = torch.export.load(FOLDER / "model.pt2").module()

    def predict(square: Image8) -> list[NDArray[np.float32]]:
        outputs = program(torch.from_numpy(square.transpose(2, 0, 1)[None].copy()))
        return [x[0].detach().numpy() for x in (outputs if isinstance(outputs, tuple) else (outputs,))]

    return predict


def read(path: str) -> Image8:
    """Return the pixels of a photograph, uint8 (H, W, 3): upright, what is transparent on white."""
    image = ImageOps.exif_transpose(Image.open(path, formats=FORMATS))
    if image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((grey * 255 + 32767) // 65535).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def presized(image: Image8, size: int, method: str, interpolation: str) -> Image8:
    """Return the square of an image that the model takes, uint8 (S, S, 3), as training and evaluation cut it."""
    if method == "squish":
        return resized(image, size, size, interpolation)
    height, width = image.shape[:2]
    scale = size / (max if method == "pad" else min)(height, width)
    shape = max(1, round(height * scale)), max(1, round(width * scale))
    if method == "pad":
        image = resized(image, *shape, interpolation)
        (top, bottom), (left, right) = (((size - n) // 2, size - n - (size - n) // 2) for n in shape)
        return np.pad(image, ((top, bottom), (left, right), (0, 0)), mode="symmetric")
    if scale < 1:
        image = resized(image, *shape, interpolation)
    side = min(image.shape[:2])
    top, left = ((n - side) // 2 for n in image.shape[:2])
    square = image[top : top + side, left : left + side]
    return square if method == "native" else resized(square, size, size, interpolation)


def resized(image: Image8, height: int, width: int, interpolation: str) -> Image8:
    """Resize an image with antialiasing, first its rows and then its columns; each to whole grey levels, as torch does.

    Pillow's own resize rounds some pixels to the neighbouring grey level.
    """
    if image.shape[1] != width:
        image = convolved(image.transpose(1, 0, 2), width, interpolation).transpose(1, 0, 2)
    return image if image.shape[0] == height else convolved(image, height, interpolation)


def convolved(image: Image8, wanted: int, interpolation: str) -> Image8:
    """Resize the first axis of an image, uint8 (given, N, 3) -> uint8 (wanted, N, 3), with weights of 16 bits."""
    radius, kernel = KERNELS[interpolation]
    given = image.shape[0]
    scale = given / wanted
    reach = radius * max(scale, 1)
    centres = scale * (np.arange(wanted) + 0.5)
    first = np.maximum(np.floor(centres - reach + 0.5), 0).astype(int)
    last = np.minimum(np.floor(centres + reach + 0.5), given).astype(int)
    shares = []
    for i in range(wanted):
        distances = np.abs((np.arange(first[i], last[i]) - centres[i] + 0.5) / max(scale, 1))
        weights = np.where(distances < radius, kernel(distances), 0)
        shares.append(weights / weights.sum())
    bits = min(22, np.ceil(np.log2((2**15 - 0.5) / max(share.max() for share in shares))) - 1)
    result = np.empty((wanted, *image.shape[1:]), dtype=np.uint8)
    for i, share in enumerate(shares):
        weights = np.trunc(share * 2**bits + np.copysign(0.5, share)).astype(np.int64)
        sums = np.tensordot(weights, image[first[i] : last[i]], axes=1)
        result[i] = np.clip((sums + 2 ** (int(bits) - 1)) >> int(bits), 0, 255)
    return result


if __name__ == "__main__":
    main()
