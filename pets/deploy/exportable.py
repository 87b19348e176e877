"""A model as one function of uint8 squares, in operations that every backend has."""

import torch
from torch import Tensor, nn

from pets.deploy.artifact import Artifact

EXACT_REDUCTION = 3
"""Up to this reduction the sums of a resize are exact in float32."""


class Exportable(nn.Module):
    """Resize, scale, normalise, network, probabilities: uint8 (B, 3, S, S) -> float32 (B, C).

    With a detector of unknown images the familiarity, float32 (B,), is a second output.

    S is the side of the presized square: the size of the canvas, or with native presizing anything up to it, the same
    for all images of a batch. The resize equals `evaluate_images` on a CPU bit for bit, but is written as two matrix
    products: the antialiased kernel is in no export format on all devices.
    """

    weights: Tensor
    one: Tensor
    rows: Tensor
    columns: Tensor

    def __init__(self, artifact: Artifact) -> None:
        super().__init__()
        # The archive of a program knows plainly stored tensors only.
        self.network = artifact.network.to(memory_format=torch.contiguous_format)
        self.detector = artifact.detector
        presize, size = artifact.metadata.presize, artifact.metadata.size
        self.native = presize.method == "native"
        self.dtype = torch.float32 if presize.size <= EXACT_REDUCTION * size else torch.float64
        # Buffers and no constants: they go to another device with the program.
        self.register_buffer("columns", torch.arange(presize.size, dtype=torch.float64))
        self.register_buffer("rows", torch.arange(size, dtype=torch.float64).unsqueeze(1))
        weights, one = resize_weights(self.columns, self.rows)
        self.register_buffer("weights", weights.to(self.dtype))
        self.register_buffer("one", one.to(self.dtype))

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return probabilities float32 (B, C) of squares uint8 (B, 3, S, S); with a detector, the familiarity too."""
        weights, one = self.weights, self.one
        if self.native:
            columns = self.columns[: images.shape[-1]]
            weights, one = (part.to(self.dtype) for part in resize_weights(columns, self.rows))
        pixels = _rounded(images.to(self.dtype) @ weights.T, one)
        pixels = _rounded(weights @ pixels, one).float()
        features = self.network.features(pixels / 255)
        probabilities: Tensor = self.network.loss.probabilities(self.network.head[-1](features))
        return probabilities if self.detector is None else (probabilities, self.detector(features))


def _rounded(sums: Tensor, one: Tensor) -> Tensor:
    return torch.floor((sums + one / 2) / one).clamp(0, 255)


def resize_weights(columns: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weights of an antialiased bilinear resize as whole numbers, and the whole number that stands for 1.

    The arithmetic of torch's kernel for uint8: triangle filter, 16-bit weights, and a sum rounded to a grey level after
    each of the two directions. Sums of whole numbers below 2^24 are exact in float32 in any order; strong reductions
    have larger ones and need float64.

    Args:
        columns: float64 (given,): 0, 1, ... up to the side of the input, excluded.
        rows: float64 (wanted, 1): 0, 1, ... up to the side of the output, excluded.

    Returns:
        float64 (wanted, given) and float64 ().
    """
    given = columns[-1] + 1
    scale = given / rows.shape[0]
    support = scale.clamp(min=1)
    centres = scale * (rows + 0.5)
    first = torch.floor((centres - support + 0.5).clamp(min=0))
    last = torch.minimum(torch.floor(centres + support + 0.5), given)
    triangle = (1 - ((columns - centres + 0.5) / support).abs()).clamp(min=0)
    triangle = triangle * ((columns >= first) & (columns < last))
    shares = triangle / triangle.sum(dim=1, keepdim=True)
    # As many bits as leave the largest weight, rounded, below 2^15; 22 at most.
    one = torch.exp2((torch.ceil(torch.log2((2**15 - 0.5) / shares.max())) - 1).clamp(max=22))
    return torch.floor(0.5 + shares * one), one
