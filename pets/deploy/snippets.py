"""Complete programs that predict from an exported folder without this package, for its model card."""

from pets.deploy.metadata import Metadata

_TORCH = """\
import json

import numpy as np
import torch
from PIL import Image, ImageOps
from torchvision.transforms.v2 import functional as F

image = F.pil_to_tensor(ImageOps.exif_transpose(Image.open("photo.jpg")).convert("RGB"))
height, width = image.shape[1:]
{square}
program = torch.export.load("model.pt2").module()
probabilities = program(torch.as_tensor(square)[None])[0].detach()
classes = json.load(open("model.json", encoding="utf-8"))["classes"]
best = probabilities.argmax()
print(classes[best], float(probabilities[best]))
"""
_TORCH_CUT = """\
scale = {size} / min(height, width)
if scale < 1:
    image = F.resize(image, [round(height * scale), round(width * scale)], {mode}antialias=True)
height, width = image.shape[1:]
side = min(height, width)
top, left = (height - side) // 2, (width - side) // 2
"""
_TORCH_SQUARE = {
    "native": _TORCH_CUT
    + """\
square = image[:, top : top + side, left : left + side]""",
    "crop": _TORCH_CUT
    + """\
square = F.resize(image[:, top : top + side, left : left + side], [{size}, {size}], {mode}antialias=True)""",
    "squish": """\
square = F.resize(image, [{size}, {size}], {mode}antialias=True)""",
    "pad": """\
scale = {size} / max(height, width)
height, width = max(1, round(height * scale)), max(1, round(width * scale))
small = F.resize(image, [height, width], {mode}antialias=True)
top, left = ({size} - height) // 2, ({size} - width) // 2
square = np.pad(small, ((0, 0), (top, {size} - height - top), (left, {size} - width - left)), mode="symmetric")""",
}
_ONNX = """\
import json

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

image = ImageOps.exif_transpose(Image.open("photo.jpg")).convert("RGB")
width, height = image.size
{square}
session = onnxruntime.InferenceSession("model.onnx")
images = np.asarray(square).transpose(2, 0, 1)[None]
probabilities = session.run(None, {{"images": images}})[0][0]
classes = json.load(open("model.json", encoding="utf-8"))["classes"]
best = probabilities.argmax()
print(classes[best], float(probabilities[best]))
"""
_ONNX_CUT = """\
scale = {size} / min(width, height)
if scale < 1:
    image = image.resize((round(width * scale), round(height * scale)), Image.Resampling.{pillow})
width, height = image.size
side = min(width, height)
left, top = (width - side) // 2, (height - side) // 2
"""
_ONNX_SQUARE = {
    "native": _ONNX_CUT
    + """\
square = image.crop((left, top, left + side, top + side))""",
    "crop": _ONNX_CUT
    + """\
square = image.crop((left, top, left + side, top + side)).resize(({size}, {size}), Image.Resampling.{pillow})""",
    "squish": """\
square = image.resize(({size}, {size}), Image.Resampling.{pillow})""",
    "pad": """\
scale = {size} / max(width, height)
width, height = max(1, round(width * scale)), max(1, round(height * scale))
small = np.asarray(image.resize((width, height), Image.Resampling.{pillow}))
left, top = ({size} - width) // 2, ({size} - height) // 2
square = np.pad(small, ((top, {size} - height - top), (left, {size} - width - left), (0, 0)), mode="symmetric")""",
}


def torch_snippet(metadata: Metadata) -> str:
    """Return a program that predicts `photo.jpg` by model.pt2 with torch, torchvision and what they need."""
    return _fill(_TORCH, _TORCH_SQUARE, metadata)


def onnx_snippet(metadata: Metadata) -> str:
    """Return a program that predicts `photo.jpg` by model.onnx with onnxruntime, NumPy and Pillow.

    Pillow's resize rounds some pixels to the neighbouring grey level, which moves probabilities by up to about 0.01.
    """
    return _fill(_ONNX, _ONNX_SQUARE, metadata)


def _fill(program: str, squares: dict[str, str], metadata: Metadata) -> str:
    presize = metadata.presize
    square = squares[presize.method].format(
        size=presize.size,
        mode="" if presize.interpolation == "bilinear" else f"F.InterpolationMode.{presize.interpolation.upper()}, ",
        pillow=presize.interpolation.upper(),
    )
    filled = program.format(square=square)
    return filled if "np." in filled else filled.replace("import numpy as np\n", "")
