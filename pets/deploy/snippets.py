"""Complete programs that predict from an exported folder without this package, for its model card."""

from pets.deploy.description import Description

_OPENING = """\
import json

import numpy as np
import {package}
from PIL import Image, ImageOps

image = ImageOps.exif_transpose(Image.open("photo.jpg")).convert("RGB")
{square}
images = np.array(square).transpose(2, 0, 1)[None]  # uint8 (1, 3, {size}, {size})
{run}
classes = json.load(open("model.json", encoding="utf-8"))["classes"]
best = probabilities.argmax()
print(classes[best], float(probabilities[best]))
"""
_SQUARE = {
    "crop": """\
side = min(image.size)
left, top = (image.width - side) // 2, (image.height - side) // 2
square = image.crop((left, top, left + side, top + side)).resize(({size}, {size}), Image.Resampling.BILINEAR)""",
    "squish": """\
square = image.resize(({size}, {size}), Image.Resampling.BILINEAR)""",
    "pad": """\
scale = {size} / max(image.size)
width, height = (max(1, round(side * scale)) for side in image.size)
small = np.array(image.resize((width, height), Image.Resampling.BILINEAR))
left, top = ({size} - width) // 2, ({size} - height) // 2
margins = (top, {size} - height - top), (left, {size} - width - left), (0, 0)
square = np.pad(small, margins, mode="symmetric")""",
}
_RUN = {
    "torch": """\
program = torch.export.load("model.pt2").module()
probabilities = program(torch.from_numpy(images))[0].detach()""",
    "onnxruntime": """\
session = onnxruntime.InferenceSession("model.onnx")
probabilities = session.run(None, {"images": images})[0][0]""",
}


def snippet(description: Description, package: str) -> str:
    """Return a program that predicts `photo.jpg` in the exported folder with NumPy, Pillow and one more package.

    Args:
        description: Of the exported model, whose presizing the program repeats.
        package: `torch`, for model.pt2, or `onnxruntime`, for model.onnx.
    """
    size, method = description.presize.size, description.presize.method
    square = _SQUARE[method].format(size=size)
    return _OPENING.format(package=package, square=square, size=size, run=_RUN[package])
