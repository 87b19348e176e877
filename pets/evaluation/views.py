"""Images as the network saw them in evaluation, for the pictures that show some of them again."""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from pets.augment.batch import evaluate_images
from pets.data.images import open_image
from pets.data.presize import Presize


def evaluation_views(root: Path, files: Iterable[str], presize: Presize, size: int) -> Tensor:
    """Open images and return them under the evaluation transform.

    Args:
        root: The folder to which the files are relative.
        files: k paths, such as `predictions.files[rows]`.
        presize: The item transform.
        size: Side of the images given to the model, in pixels.

    Returns:
        float32 (k, 3, size, size) in [0, 1].
    """
    canvases, sides = zip(*(presize(open_image(root / str(file))) for file in files), strict=True)
    return evaluate_images(torch.stack(canvases), torch.tensor(sides, dtype=torch.float32), size)
