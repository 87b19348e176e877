"""Features of a frozen backbone: what benchmarks compute once, where nothing but the data may differ between runs."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.images import labels_of
from pets.data.presize import Presize
from pets.data.sources.folder import list_images
from pets.evaluation.predictions import evaluation_images
from pets.model.network import Network

CHUNK = 32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name the images and the backbone."""
    parser.add_argument("--images", type=Path, required=True, help="folder of the images")
    parser.add_argument("--weights", required=True, help="weights of the backbone: a file, or a name of torchvision's")
    parser.add_argument("--arch", default="tf_efficientnet_lite0", help="architecture of the backbone")
    parser.add_argument("--library", default="timm", choices=["timm", "torchvision"], help="its library")


def add_features_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names where features are kept between calls."""
    parser.add_argument("--features", type=Path, help="npz file of the features: read if it is there, else written")


def labelled_features(options: argparse.Namespace, size: int = 224) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Return features (n, F) and labels (n,) of the images below `--images`, see `labels_of`."""
    if options.features is not None and options.features.exists():
        with np.load(options.features, allow_pickle=False) as kept:
            files, features = kept["files"], kept["features"]
    else:
        files = np.array(list_images(options.images).files)
        features = pooled_features(options, files.tolist(), Presize(), size).numpy()
        if options.features is not None:
            np.savez(options.features, files=files, features=features)
    return features, np.array(labels_of(files.tolist()))


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
