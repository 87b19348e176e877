"""Backbones of timm, the extra `timm`: any architecture of it that keeps a feature map."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from pets.errors import UserError
from pets.model.backbone import Backbone
from pets.model.weights import first_line, load_strictly, read_state_dict, weights_file

try:
    import timm
    from timm.models import group_parameters
except ModuleNotFoundError as error:
    raise ModuleNotFoundError('model.library=timm needs the package timm: pip install "pets[timm]"') from error


class TimmBody(nn.Module):
    """A timm model without classifier and pooling, whose output is always a feature map (B, F, h, w).

    Channels-last outputs are permuted; the patch tokens of a transformer are laid out as the square they came from,
    without its prefix (class and register) tokens.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.channels_last: bool = getattr(model, "output_fmt", "NCHW") == "NHWC"
        self.n_prefix: int = getattr(model, "num_prefix_tokens", 0)

    def forward(self, images: Tensor) -> Tensor:
        features = self.model(images)
        if isinstance(features, Tensor) and features.ndim == 4:
            return features.permute(0, 3, 1, 2) if self.channels_last else features
        if isinstance(features, Tensor) and features.ndim == 3:
            tokens = features[:, self.n_prefix :]
            side = math.isqrt(tokens.shape[1])
            if side * side == tokens.shape[1]:
                return tokens.transpose(1, 2).reshape(len(tokens), -1, side, side)
        raise UserError(f"model.arch: {type(self.model).__name__} does not give a feature map")


def build_timm_backbone(arch: str, weights: str | None) -> Backbone:
    """Build a backbone of timm with the mean and std of its own weights; see `build_backbone`.

    The layer groups are the halves, by depth, of timm's own coarse groups (stem, stages or blocks): for a ResNet of
    timm the same split as for torchvision's.
    """
    if not timm.is_model(arch):
        raise UserError(f"model.arch={arch!r}: timm {timm.__version__} has no such model")
    model = _create(arch, weights)
    config = model.pretrained_cfg
    try:
        model.reset_classifier(0, "")
        depth = group_parameters(model, model.group_matcher(coarse=True), reverse=True)
        body = TimmBody(model)
        with torch.no_grad():
            n_features = body.eval()(torch.zeros(1, *config["input_size"])).shape[1]
    except (AssertionError, AttributeError, TypeError, ValueError) as error:
        raise UserError(f"model.arch={arch!r}: timm's model has no feature map or no layer groups") from error
    last = max(depth.values())
    return Backbone(
        body.train(),
        arch=arch,
        library="timm",
        n_features=n_features,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        groups={f"model.{name}": "early" if place <= last // 2 else "late" for name, place in depth.items()},
    )


def _create(arch: str, weights: str | None) -> Any:
    """Create the model without classifier; its pooling is still that of the weights, which may own parameters."""
    if weights is None:
        return _untrained(arch)
    names = timm.list_pretrained(arch if "." in arch else f"{arch}.*")
    tags = [name.split(".", 1)[1] for name in names]
    if weights not in (*tags, "default") or not tags:
        path = weights_file(weights, ["default", *tags] if tags else [])
        model = _untrained(arch)
        classifier = model.pretrained_cfg["classifier"]
        drop = (classifier,) if isinstance(classifier, str) else tuple(classifier or ())
        load_strictly(model, read_state_dict(path), str(path), drop)
        return model
    name = arch if weights == "default" else f"{arch.split('.')[0]}.{weights}"
    try:
        return timm.create_model(name, pretrained=True, num_classes=0)
    except (OSError, RuntimeError) as error:
        raise OSError(
            f"weights {name} could not be had from the Hugging Face hub or its cache: {first_line(error)}; "
            "use model.weights=PATH of a state dict or model.weights=null"
        ) from error


def _untrained(arch: str) -> Any:
    try:
        return timm.create_model(arch, pretrained=False, num_classes=0)
    except RuntimeError as error:  # a known architecture with an unknown tag
        raise UserError(f"model.arch={arch!r}: {first_line(error)}") from error
