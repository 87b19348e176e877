"""The pretrained part of a model: images in, a feature map out, with the statistics and layer groups of its weights."""

import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
import torchvision
from torch import Tensor, nn

from pets.model.weights import first_line, load_strictly, read_state_dict

RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
RESNET_GROUPS = {
    "conv1": "early",
    "bn1": "early",
    "layer1": "early",
    "layer2": "early",
    "layer3": "late",
    "layer4": "late",
}
"""fastai's split of a ResNet: the stem with the first two stages, and the last two."""

Statistics = tuple[float, float, float]


class Backbone(nn.Module):
    """A body without pooling or classifier: normalised float (B, 3, h, w) -> feature map (B, n_features, h', w').

    Attributes:
        arch: Name of the architecture in its library.
        source: "torchvision" or "timm".
        n_features: Channels of the feature map.
        mean: Of the red, green and blue values in [0, 1] that the weights were trained with.
        std: Standard deviations of the same.
    """

    def __init__(
        self,
        body: nn.Module,
        *,
        arch: str,
        source: str,
        n_features: int,
        mean: Statistics,
        std: Statistics,
        groups: Mapping[str, str],
    ) -> None:
        """Args: see the attributes; `groups` maps the name of each of the body's parameters to "early" or "late"."""
        super().__init__()
        self.body = body
        self.arch = arch
        self.source = source
        self.n_features = n_features
        self.mean = mean
        self.std = std
        self._groups = {f"body.{name}": group for name, group in groups.items()}

    def group_of(self, name: str) -> str:
        """Return the layer group, "early" or "late", of a parameter named as in `named_parameters()`.

        Raises:
            ValueError: No layer group claims the parameter.
        """
        if name not in self._groups:
            raise ValueError(f"{self.arch}: parameter {name!r} belongs to no layer group")
        return self._groups[name]

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.body(images)
        return features


def build_backbone(
    arch: str, weights: str | None = "IMAGENET1K_V1", source: Literal["torchvision", "timm"] = "torchvision"
) -> Backbone:
    """Build a backbone and load its weights.

    Args:
        arch: One of `RESNETS`, or with `source="timm"` any name of timm that keeps a feature map.
        weights: Name of published weights, path of a state dict (its classifier is left out), or None for random
            ones. For torchvision a member of its weights enum such as "IMAGENET1K_V1"; never "DEFAULT", which changes
            meaning between releases. For timm a tag, or "default".
        source: The library that defines the architecture.

    A ResNet's input is normalised with ImageNet's mean and std whatever its weights, so that the same images give
    the same input with and without them.

    Raises:
        ValueError: Unknown source or arch, or a state dict that does not fit.
        FileNotFoundError: `weights` is neither a known name nor a file.
        OSError: Published weights could not be downloaded.
        ImportError: `source="timm"` without the extra `timm`.
    """
    if source == "torchvision":
        return _build_resnet(arch, weights)
    if source == "timm":
        from pets.model.timm_backbone import build_timm_backbone

        return build_timm_backbone(arch, weights)
    raise ValueError(f"model.source={source!r}: must be torchvision or timm")


def weights_file(weights: str, names: list[str]) -> Path:
    """Return the path of a local state dict.

    Raises:
        FileNotFoundError: There is no such file; the message lists `names`, the published weights.
    """
    path = Path(weights).expanduser()
    if not path.is_file():
        allowed = ", ".join([*names, "the path of a state dict", "null"])
        raise FileNotFoundError(f"model.weights={weights!r}: no such name or file; allowed: {allowed}")
    return path


def _build_resnet(arch: str, weights: str | None) -> Backbone:
    if arch not in RESNETS:
        raise ValueError(
            f"model.arch={arch!r}: must be one of {', '.join(RESNETS)}, or any name with model.source=timm"
        )
    published = torchvision.models.get_model_weights(arch)
    resnet = torchvision.models.get_model(arch, weights=None)
    n_features = resnet.fc.in_features
    # Taking the children over under their own names keeps the keys of torchvision's state dicts.
    body = nn.Sequential()
    for name, child in resnet.named_children():
        if name not in ("avgpool", "fc"):
            body.add_module(name, child)
    names = [member.name for member in published]
    if weights in names:
        load_strictly(body, _download(arch, published[weights]), f"{arch} {weights}", drop=("fc",))
    elif weights is not None:
        path = weights_file(weights, names)
        load_strictly(body, read_state_dict(path), str(path), drop=("fc",))
    preprocessing = published[weights if weights in names else "IMAGENET1K_V1"].transforms()
    return Backbone(
        body,
        arch=arch,
        source="torchvision",
        n_features=n_features,
        mean=tuple(preprocessing.mean),
        std=tuple(preprocessing.std),
        groups={name: RESNET_GROUPS[name.split(".")[0]] for name, _ in body.named_parameters()},
    )


def _download(arch: str, member: Any) -> Mapping[str, Tensor]:
    """Return published weights from torch.hub's cache, or download and check them."""
    try:
        state: Mapping[str, Tensor] = member.get_state_dict(
            check_hash=True, weights_only=True, map_location="cpu", progress=sys.stderr.isatty()
        )
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise OSError(
            f"weights {member.name} of {arch} could not be had from {member.url} or the cache {torch.hub.get_dir()}: "
            f"{first_line(error)}; use model.weights=PATH of a state dict or model.weights=null"
        ) from error
    return state
