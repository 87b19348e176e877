"""The page of task=serve, and what it shows of a photograph: the prediction, and where the network looked."""

import base64
import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pets.augment.batch import evaluate_images
from pets.deploy.predictor import Prediction, Predictor, square
from pets.evaluation.figures.grids import overlay, to_pixels
from pets.evaluation.gradcam import gradcam
from pets.files import read_bytes

PAGE = Path(__file__).with_name("page.html")


def answer(prediction: Prediction) -> dict[str, Any]:
    """Return a prediction as plain values, the probabilities as they are."""
    return {
        "label": prediction.label,
        "probability": prediction.probability,
        "accepted": prediction.accepted,
        "familiarity": prediction.familiarity,
        "top": [{"label": label, "probability": probability} for label, probability in prediction.top],
    }


def heat_picture(predictor: Predictor, photograph: bytes) -> bytes:
    """Return, as PNG, the square that the network sees, tinted red where it speaks for the predicted class."""
    canvas, side = square(photograph, predictor.metadata.presize)
    sides = torch.tensor([float(side)], device=predictor.device)
    images = evaluate_images(canvas[None].to(predictor.device), sides, predictor.metadata.size)
    heat = gradcam(predictor.network, images)[0].cpu().numpy()
    tinted = overlay(to_pixels(images[0]), heat)
    png = io.BytesIO()
    Image.fromarray((tinted * 255).round().astype(np.uint8)).save(png, format="PNG")
    return png.getvalue()


def page_and_policy() -> tuple[bytes, str]:
    """Return the page, and a policy by which it runs its own script and style only and speaks to nobody else."""
    page = read_bytes(PAGE)
    hashes = {}
    for tag in (b"script", b"style"):
        text = page.partition(b"<%s>" % tag)[2].partition(b"</%s>" % tag)[0]
        hashes[tag] = base64.b64encode(hashlib.sha256(text).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{hashes[b'script']}'; style-src 'sha256-{hashes[b'style']}'; "
        "img-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page, policy
