"""ResNets of torchvision."""

import pickle
import sys
from collections.abc import Mapping
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from pets.model.backbone import Backbone
from pets.model.weights import first_line, load_strictly, read_state_dict, weights_file

RESNET_GROUPS = {
    "conv1": "early",
    "bn1": "early",
    "layer1": "early",
    "layer2": "early",
    "layer3": "late",
    "layer4": "late",
}
"""fastai's split of a ResNet: the stem with the first two stages, and the last two."""


def build_resnet(arch: str, weights: str | None) -> Backbone:
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
        library="torchvision",
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
