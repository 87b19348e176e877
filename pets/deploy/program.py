"""A model as one function of uint8 squares, in operations that every backend has."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pets.deploy.bundle import Bundle


class Program(nn.Module):
    """Resize, scale, normalise, network, probabilities: uint8 (B, 3, S, S) -> float32 (B, C).

    S is the side of the presized square. The resize equals `evaluate_images` on a CPU bit for bit, but is written as
    two matrix products: the antialiased kernel is in no export format on all devices.
    """

    weights: Tensor

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        self.network = bundle.network
        weights, bits = resize_weights(bundle.description.presize.size, bundle.description.size)
        self.register_buffer("weights", torch.from_numpy(weights))
        self.one = float(1 << bits)

    def forward(self, images: Tensor) -> Tensor:
        """Return probabilities float32 (B, C) of squares uint8 (B, 3, S, S)."""
        pixels = self._rounded(images.to(self.weights.dtype) @ self.weights.T)
        pixels = self._rounded(self.weights @ pixels).float()
        probabilities: Tensor = self.network.loss.probabilities(self.network(pixels / 255))
        return probabilities

    def _rounded(self, sums: Tensor) -> Tensor:
        return torch.floor((sums + self.one / 2) / self.one).clamp(0, 255)


def resize_weights(given: int, wanted: int) -> tuple[NDArray[np.floating], int]:
    """Return whole numbers (wanted, given) and the bits b: 2^b times the weights of an antialiased bilinear resize.

    The arithmetic of torch's kernel for uint8: triangle filter, 16-bit weights, and a sum rounded to a grey level after
    each of the two directions. Sums of whole numbers below 2^24 are exact in float32 in any order; strong reductions
    have larger ones and get float64.

    Args:
        given: Side of the input in pixels.
        wanted: Side of the output in pixels.
    """
    if given == wanted:
        return np.eye(given, dtype=np.float32), 0
    scale = given / wanted
    support = max(scale, 1.0)
    centres = scale * (np.arange(wanted)[:, None] + 0.5)
    taps = np.arange(given)[None, :]
    first = np.maximum(np.trunc(centres - support + 0.5), 0)
    last = np.minimum(np.trunc(centres + support + 0.5), given)
    triangle = np.maximum(0.0, 1.0 - np.abs((taps - centres + 0.5) / support))
    triangle = np.where((taps >= first) & (taps < last), triangle, 0.0)
    shares = triangle / triangle.sum(axis=1, keepdims=True)
    bits = 0
    while bits < 22 and int(0.5 + shares.max() * (1 << (bits + 1))) < 1 << 15:
        bits += 1
    return np.floor(0.5 + shares * (1 << bits)).astype(np.float32 if bits <= 16 else np.float64), bits
