"""Backbones of timm, the extra `timm`: any architecture of it that keeps a feature map."""

import math
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from pets.errors import UserError
from pets.model.backbone import Backbone, divide
from pets.model.weights import first_line, load_strictly, read_state_dict, weights_file
from pets.settings.model import Model
from pets.settings.parts import layer_group_names

try:
    import timm
    from timm.layers.drop import DropPath
    from timm.models import group_parameters
except ModuleNotFoundError as error:
    raise ModuleNotFoundError('model.library=timm needs the package timm: pip install "pets[timm]"') from error


ANY_SIZE: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})
"""Arguments with which timm's families take images of any size: transformers, older Swins; others always or never."""
NEAR = 32
"""Pixels within which a size that an architecture takes is looked for, instead of one that it does not."""
Summary = Literal["token", "map"] | None
"""What stands for the whole image beside the patch tokens: the class token, attention pooling ("map"), or nothing."""


class TimmBody(nn.Module):
    """A timm model without classifier and pooling, whose output is always a feature map (B, F, h, w).

    Channels-last outputs are permuted; the patch tokens of a transformer are laid out as the square they came from,
    without its prefix (class and register) tokens. A summary follows them as further channels that are the same
    everywhere, so that a head's pooling leaves it as it is and sees both, as in the linear evaluation of DINOv2.
    """

    def __init__(self, model: Any, summary: Summary) -> None:
        super().__init__()
        self.model = model
        self.summary = summary
        self.channels_last: bool = getattr(model, "output_fmt", "NCHW") == "NHWC"
        self.n_prefix: int = getattr(model, "num_prefix_tokens", 0)

    def forward(self, images: Tensor) -> Tensor:
        features = self.model.forward_features(images) if self.summary == "map" else self.model(images)
        if isinstance(features, Tensor) and features.ndim == 4:
            return features.permute(0, 3, 1, 2) if self.channels_last else features
        if isinstance(features, Tensor) and features.ndim == 3:
            tokens = features[:, self.n_prefix :]
            side = math.isqrt(tokens.shape[1])
            if side * side == tokens.shape[1]:
                # Not len(tokens): torch.export would fix the number of images.
                grid = tokens.transpose(1, 2).reshape(tokens.shape[0], -1, side, side)
                return grid if self.summary is None else torch.cat([grid, self._everywhere(features, side)], dim=1)
        raise UserError(f"model.arch: {type(self.model).__name__} does not give a feature map")

    def _everywhere(self, features: Tensor, side: int) -> Tensor:
        if self.summary == "map":
            summary: Tensor = self.model.forward_head(features, pre_logits=True)
        else:
            summary = features[:, 0]
        return summary[:, :, None, None].expand(-1, -1, side, side)


class Outline(NamedTuple):
    """An architecture on the meta device, without weights: what it does to shapes costs neither time nor memory."""

    body: TimmBody
    arguments: dict[str, Any]
    """What timm is to create it with."""
    depths: list[dict[str, int]]
    """The depth of each parameter, by stages and by blocks."""
    n_features: int
    side: int
    """Of the images that its weights were trained with, in pixels."""


def build_timm_backbone(options: Model) -> Backbone:
    """Build a backbone of timm with the mean and std of its own weights; see `build_backbone`.

    The layer groups divide timm's own groups (stem, stages or blocks) evenly by depth: three of a ResNet of timm are
    those of torchvision's.
    """
    arch = options.arch
    if not timm.is_model(arch):
        raise UserError(f"model.arch={arch!r}: timm {timm.__version__} has no such model")
    outline = _outline(options)
    groups = divide(outline.depths, options.groups, arch)
    model = _create(arch, None if options.weights is None else str(options.weights), outline.arguments)
    config = model.pretrained_cfg
    return Backbone(
        _body(model, options).train(),
        arch=arch,
        library="timm",
        n_features=outline.n_features,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        groups={f"model.{name}": group for name, group in groups.items()},
        group_names=layer_group_names(options.groups),
        unfit=partial(_unfit, outline),
    )


def _outline(options: Model) -> Outline:
    """Find out what an architecture can do, before weights are fetched for it.

    Raises:
        UserError: It cannot do what the options say, or has no feature map.
    """
    arch = options.arch
    with torch.device("meta"):
        model, arguments = _of_any_size(arch, options.drop_path)
        if options.drop_path and not any(isinstance(m, DropPath) and m.drop_prob for m in model.modules()):
            raise _no_stochastic_depth(options.drop_path, arch)
        side = model.pretrained_cfg["input_size"][-1]
        try:
            body = _body(model, options).eval()
            depths = [
                group_parameters(model, model.group_matcher(coarse=coarse), reverse=True) for coarse in (True, False)
            ]
            n_features = body(torch.zeros(1, 3, side, side)).shape[1]
        except (AssertionError, AttributeError, RuntimeError, TypeError, ValueError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"model.arch={arch!r}: timm's model has no feature map or no layer groups") from error
    return Outline(body, arguments, depths, n_features, side)


def _of_any_size(arch: str, drop_path: float | None) -> tuple[Any, dict[str, Any]]:
    """Create a model that takes images of other sizes than its weights, as far as it can; return the arguments too."""
    rate = {} if drop_path is None else {"drop_path_rate": drop_path}
    for flexible in ANY_SIZE:
        try:
            return _untrained(arch, flexible | rate), flexible | rate
        except TypeError:  # an argument that this family does not have
            continue
    raise _no_stochastic_depth(drop_path, arch)


def _no_stochastic_depth(drop_path: float | None, arch: str) -> UserError:
    return UserError(f"model.drop_path={drop_path} is not allowed: null, for {arch} has no stochastic depth")


def _body(model: Any, options: Model) -> TimmBody:
    """Take off what the head replaces.

    Raises:
        UserError: The model cannot checkpoint gradients.
    """
    if options.grad_checkpointing:
        try:
            model.set_grad_checkpointing()
        except (AssertionError, AttributeError) as error:
            raise UserError(f"model.grad_checkpointing=true is not allowed: false for {options.arch}") from error
    summary = _summary(options.arch, model) if options.class_token else None
    if summary != "map":  # attention pooling is part of the model's own
        model.reset_classifier(0, "")
    return TimmBody(model, summary)


def _summary(arch: str, model: Any) -> Summary:
    """Return what the weights of an architecture were trained to say of the whole image, where it is no mean."""
    if "dinov3" in arch:  # timm takes the mean; the published classifiers of these weights take both
        return "token"
    pooling = getattr(model, "global_pool", None)
    return pooling if pooling in ("token", "map") else None


def _unfit(outline: Outline, side: int) -> str:
    """Say which sizes of images a body takes, if it does not take this one."""
    if _takes(outline.body, side):
        return ""
    below = (near for near in range(side - 1, side - NEAR, -1) if _takes(outline.body, near))
    above = (near for near in range(side + 1, side + NEAR) if _takes(outline.body, near))
    found = [near for near in (next(below, None), next(above, None)) if near is not None]
    return " or ".join(map(str, found or [outline.side]))


def _takes(body: TimmBody, side: int) -> bool:
    try:
        body(torch.zeros(1, 3, side, side, device="meta"))
    except (AssertionError, RuntimeError, ValueError):
        return False
    return True


def _create(arch: str, weights: str | None, arguments: dict[str, Any]) -> Any:
    """Create the model without classifier; its pooling is still that of the weights, which may own parameters."""
    if weights is None:
        return _untrained(arch, arguments)
    names = timm.list_pretrained(arch if "." in arch else f"{arch}.*")
    tags = [name.split(".", 1)[1] for name in names]
    if weights not in (*tags, "default") or not tags:
        path = weights_file(weights, ["default", *tags] if tags else [])
        model = _untrained(arch, arguments)
        classifier = model.pretrained_cfg["classifier"]
        drop = (classifier,) if isinstance(classifier, str) else tuple(classifier or ())
        load_strictly(model, read_state_dict(path), str(path), drop)
        return model
    name = arch if weights == "default" else f"{arch.split('.')[0]}.{weights}"
    try:
        return timm.create_model(name, pretrained=True, num_classes=0, **arguments)
    except (OSError, RuntimeError) as error:
        raise OSError(
            f"weights {name} could not be had from the Hugging Face hub or its cache: {first_line(error)}; "
            "use model.weights=PATH of a state dict or model.weights=null"
        ) from error


def _untrained(arch: str, arguments: dict[str, Any]) -> Any:
    try:
        return timm.create_model(arch, pretrained=False, num_classes=0, **arguments)
    except RuntimeError as error:  # a known architecture with an unknown tag
        raise UserError(f"model.arch={arch!r}: {first_line(error)}") from error
