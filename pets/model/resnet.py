"""ResNets of torchvision."""

import pickle
import sys
from collections.abc import Mapping
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from pets.model.backbone import Backbone, divide
from pets.model.weights import first_line, load_strictly, read_state_dict, weights_file
from pets.settings.model import Model
from pets.settings.parts import layer_group_names


def build_resnet(options: Model) -> Backbone:
    """Build a ResNet; see `build_backbone`.

    Three layer groups are fastai's: the stem with the first two stages, the last two stages, the head.
    """
    arch, weights = options.arch, None if options.weights is None else str(options.weights)
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
        groups=divide(_depths(body), options.groups, arch),
        group_names=layer_group_names(options.groups),
    )


def _depths(body: nn.Module) -> list[dict[str, int]]:
    """Return the depth of each parameter by stages and by blocks; the stem is the first of either."""
    names = [name for name, _ in body.named_parameters()]
    depths = []
    for parts in (1, 2):  # layer3, layer3.0
        layers = [".".join(name.split(".")[:parts]) if name.startswith("layer") else "stem" for name in names]
        order = {layer: place for place, layer in enumerate(dict.fromkeys(layers))}
        depths.append({name: order[layer] for name, layer in zip(names, layers, strict=True)})
    return depths


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
