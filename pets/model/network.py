"""The network: images normalised by the statistics of the weights, then body and head. Plain torch, no Lightning."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from pets.errors import UserError
from pets.model.head import build_head
from pets.model.layer_groups import layer_groups, norm_layers, set_trainable
from pets.model.library import build_backbone
from pets.model.losses import CrossEntropy, Loss, loss_from_spec
from pets.model.weights import first_line
from pets.settings.model import Head, Library, Model

SPEC_VERSION = 1
FrozenNorms = Literal["train", "eval", "always"]
SPEC_KEYS = ("arch", "source", "head", "classes", "mean", "std", "loss", "frozen_bn")
SPEC_SINCE_02: dict[str, Any] = {"groups": 3, "drop_path": None, "class_token": False}
"""Keys that specs of version 0.1 lack, and what its networks are."""


class Network(nn.Module):
    """A pretrained backbone with a new head, for images float (B, 3, h, w) in [0, 1].

    Attributes:
        classes: Names of the classes in the order of the logits.
        weights: Name, or file name, of the weights that the backbone started from.
        loss: The loss, which also turns logits into probabilities.
        options: Backbone and how it is treated.
        frozen_groups: Layer groups that `freeze_to` froze.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        arch: str = "resnet34",
        *,
        classes: Iterable[str],
        weights: str | None = "IMAGENET1K_V1",
        library: Library = "torchvision",
        head: Mapping[str, Any] | None = None,
        loss: Loss | None = None,
        frozen_bn: FrozenNorms = "always",
        groups: int = 3,
        drop_path: float | None = None,
        class_token: bool = True,
        grad_checkpointing: bool = False,
    ) -> None:
        """Build the network and load its weights; for `arch`, `weights` and `library` see `build_backbone`.

        Args:
            arch: Architecture of the backbone.
            classes: Names of the classes, two or more.
            weights: Weights of the backbone.
            library: Library of the backbone.
            head: Options of `build_head` (kind, hidden, dropout) that differ from those of `pets.settings.model.Head`.
            loss: The loss; cross entropy by default.
            frozen_bn: Norms of frozen groups either "train" (fastai: they keep learning and collecting statistics)
                or stay as they are, in "eval" mode. With "always" the body's norms keep the statistics of pretrained
                weights even when everything learns: batches of a small set would spoil them. Random weights have no
                statistics to keep, so for them "always" means "eval".
            groups: Layer groups, from 3 to one more than the body has layers; the last is the head.
            drop_path: How often the last block is skipped in training, in [0, 1); None: the architecture's own rate.
            class_token: Whether the feature map of a transformer has its class token, see `TimmBody`.
            grad_checkpointing: Whether the backward pass computes activations again instead of keeping them.

        Raises:
            ValueError: A value outside what is allowed; further errors as in `build_backbone`.
        """
        super().__init__()
        self.classes = _checked_classes(classes)
        self.options = Model(
            library,
            arch,
            weights,
            frozen_bn,
            groups=groups,
            drop_path=drop_path,
            class_token=class_token,
            grad_checkpointing=grad_checkpointing,
        )
        options = Head(**dict(head or {}))
        self.head_options = asdict(options)
        self.frozen_bn = frozen_bn
        self.frozen_groups: tuple[str, ...] = ()
        self.loss = loss or CrossEntropy()
        self.loss.check(len(self.classes))
        self.weights = None if weights is None else Path(weights).name
        self.backbone = build_backbone(self.options)
        self.head = build_head(self.backbone.n_features, len(self.classes), options)
        # Persistent, so that a bare state dict normalises as its weights were trained.
        self.register_buffer("mean", torch.tensor(self.backbone.mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(self.backbone.std).view(3, 1, 1))
        layer_groups(self)  # an architecture that cannot be grouped fails now, not when the fit starts
        # The layout in which convolutions are fastest, on CPUs and on tensor cores; the values are the same.
        self.to(memory_format=torch.channels_last)

    def feature_map(self, images: Tensor) -> Tensor:
        """Normalise images and return the feature map (B, F, h', w').

        Raises:
            ValueError: The images are not floating point.
        """
        if not images.is_floating_point():
            raise UserError(
                f"the model got raw {images.dtype} images: it takes floats in [0, 1], "
                "which the datamodule's batch transform makes of them"
            )
        normalised = (images - self.mean) / self.std
        features: Tensor = self.backbone(normalised.contiguous(memory_format=torch.channels_last))
        return features

    def features(self, images: Tensor) -> Tensor:
        """Return what the last layer receives, (B, F), of images float (B, 3, h, w) in [0, 1]."""
        features: Tensor = self.head[:-1](self.feature_map(images))
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, C) of images float (B, 3, h, w) in [0, 1]."""
        logits: Tensor = self.head(self.feature_map(images))
        return logits

    def freeze_to(self, group: str | int) -> None:
        """Freeze the layer groups before `group` and make the others trainable, as fastai's `freeze_to`.

        Norms of frozen groups follow `frozen_bn`. Idempotent; gradients of frozen parameters are dropped.

        Args:
            group: A name of `backbone.group_names` ("early" freezes nothing), or an index into these, negative ones
                from the end.

        Raises:
            ValueError: No such group.
        """
        names = self.backbone.group_names
        if group not in (*names, *range(-len(names), len(names))):
            raise UserError(f"freeze_to({group!r}): must be one of {', '.join(names)} or an index of these")
        first = names.index(group) if isinstance(group, str) else range(len(names))[group]
        self.frozen_groups = names[:first]
        set_trainable(self, self.frozen_groups, keep_norms=self.frozen_bn == "train")
        self.train(self.training)

    def unfreeze(self) -> Self:
        """Make every parameter trainable."""
        self.freeze_to(0)
        return self

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all modules, except that norms stay in eval mode where `frozen_bn` says so."""
        super().train(mode)
        if mode and self.frozen_bn != "train":
            always = self.frozen_bn == "always" and self.weights is not None
            kept = self.backbone.group_names if always else self.frozen_groups
            for norm in norm_layers(self.backbone, kept):
                norm.eval()
        return self

    def spec(self) -> dict[str, Any]:
        """Return plain values from which `from_spec` rebuilds the network, without its weights."""
        return {
            "version": SPEC_VERSION,
            "arch": self.backbone.arch,
            "source": self.backbone.library,
            "weights": self.weights,
            "head": dict(self.head_options),
            "classes": list(self.classes),
            "mean": self.mean.flatten().tolist(),
            "std": self.std.flatten().tolist(),
            "loss": self.loss.spec(),
            "frozen_bn": self.frozen_bn,
            **{key: getattr(self.options, key) for key in SPEC_SINCE_02},
        }

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Self:
        """Rebuild from `spec()`, with random weights. Only plain values are read; nothing they name is instantiated.

        Raises:
            ValueError: The spec is of another version, lacks a key, or holds a value outside what is allowed.
        """
        if spec.get("version") != SPEC_VERSION:
            raise UserError(f"model spec of version {spec.get('version')!r}: this release reads version {SPEC_VERSION}")
        if missing := [key for key in SPEC_KEYS if key not in spec]:
            raise UserError(f"model spec lacks {', '.join(missing)}")
        try:
            network = cls(
                spec["arch"],
                classes=spec["classes"],
                weights=None,
                library=spec["source"],
                head=spec["head"],
                loss=loss_from_spec(spec["loss"]),
                frozen_bn=spec["frozen_bn"],
                **{key: spec.get(key, before) for key, before in SPEC_SINCE_02.items()},
            )
            for name in ("mean", "std"):
                network.get_buffer(name).copy_(torch.tensor(spec[name], dtype=torch.float32).view(3, 1, 1))
        except (TypeError, AttributeError, RuntimeError) as error:  # values of another type than ours
            raise UserError(f"model spec: {first_line(error)}") from error
        return network


def _checked_classes(classes: Iterable[str]) -> tuple[str, ...]:
    names = tuple(classes)
    texts = not isinstance(classes, str) and all(isinstance(name, str) for name in names)
    if not texts or len(names) < 2 or len(set(names)) < len(names):
        raise UserError(f"classes={names!r}: must be a sequence of two or more different names")
    return names
