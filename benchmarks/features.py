"""Features of a frozen backbone: what benchmarks compute once, where nothing but the data may differ between runs."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from pets.data.presize import Presize
from pets.evaluation.predictions import evaluation_images
from pets.model.network import Network

CHUNK = 32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name the images and the backbone."""
    parser.add_argument("--images", type=Path, required=True, help="folder of the images")
    parser.add_argument("--weights", required=True, help="weights of the backbone: a file, or a name of torchvision's")
    parser.add_argument("--arch", default="tf_efficientnet_lite0", help="architecture of the backbone")
    parser.add_argument("--library", default="timm", choices=["timm", "torchvision"], help="its library")


@torch.no_grad()
def pooled_features(options: argparse.Namespace, files: Sequence[str], presize: Presize, size: int) -> Tensor:
    """Return the features (n, F), float32, of files below `--images` under the evaluation transform, `size` px."""
    network = Network(
        options.arch, classes=["one", "other"], weights=options.weights, library=options.library,
        head={"kind": "linear"},
    ).eval()  # fmt: skip
    chunks = [list(files[start : start + CHUNK]) for start in range(0, len(files), CHUNK)]
    batches = (evaluation_images(options.images, chunk, presize, size) for chunk in chunks)
    return torch.cat([network.feature_map(images).mean(dim=(2, 3)) for images in batches])
