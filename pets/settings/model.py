"""Settings of the network: backbone, head, loss, optimizer."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pets.settings.declare import PathText, Text, declared

Library = Literal["torchvision", "timm"]
RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
"""The architectures of torchvision."""


@declared("model", "pets.model.classifier.Classifier", children=("head", "loss", "optimizer"))
class Model:
    """The backbone and how it is treated."""

    library: Annotated[
        Library,
        Field(description="library of the backbone: torchvision; for timm take model=timm"),
    ] = "torchvision"
    arch: Annotated[Text, Field(max_length=1000, description=", ".join(RESNETS))] = "resnet34"
    weights: Annotated[
        PathText | None,
        Field(
            description="name of torchvision's weights, path of a state dict, "
            "or null: random, normalised as ImageNet all the same"
        ),
    ] = "IMAGENET1K_V1"
    frozen_bn: Annotated[
        Literal["train", "eval", "always"],
        Field(
            description="norms of frozen groups: train (fastai: they go on learning), eval (they stay as they are); "
            "always: pretrained norms stay even unfrozen"
        ),
    ] = "always"
    compile: Annotated[
        bool,
        Field(description="torch.compile: slow first steps, then faster ones; worth it on a GPU and in long runs"),
    ] = False

    @model_validator(mode="after")
    def _known(self) -> "Model":
        if self.library == "torchvision" and self.arch not in RESNETS:
            raise ValueError(
                f"model.arch={self.arch!r} is not allowed: {', '.join(RESNETS)}, or any name with model.library=timm"
            )
        return self


@declared("model.head")
class Head:
    """New layers after the backbone; fastai's values where fastai has the option."""

    kind: Annotated[Literal["concat_pool", "linear"], Field(description="concat_pool (fastai's) or linear")] = (
        "concat_pool"
    )
    hidden: Annotated[int, Field(ge=1, le=65_536, description="width of the hidden layer of concat_pool")] = 512
    dropout: Annotated[
        float,
        Field(
            ge=0,
            lt=1,
            description="before the last layer, in [0, 1); concat_pool applies half of it before the hidden layer",
        ),
    ] = 0.5
    normalize: Annotated[
        bool,
        Field(
            description="linear only: scale each image's pooled features to a root mean square of 1, "
            "as cosine classifiers do"
        ),
    ] = False
    init: Annotated[
        Literal["random", "lda"],
        Field(
            description="random, or lda (linear only): start from the linear discriminant of the training images' "
            "features"
        ),
    ] = "random"
    shrinkage: Annotated[
        float,
        Field(
            gt=0,
            le=1,
            description="of lda, in (0, 1]: share of the covariance that is replaced by a multiple of the identity",
        ),
    ] = 0.9

    @model_validator(mode="after")
    def _fits_the_kind(self) -> "Head":
        if self.kind != "linear" and (self.normalize or self.init == "lda"):
            key = "normalize=true" if self.normalize else "init=lda"
            raise ValueError(f"model.head.{key}: needs model.head.kind=linear, not {self.kind}")
        return self


@declared("loss", "pets.model.losses.CrossEntropy")
class CrossEntropy:
    """Softmax cross entropy."""

    label_smoothing: Annotated[
        float,
        Field(ge=0, lt=1, description="share of the target spread evenly over the classes, in [0, 1)"),
    ] = 0.0
    class_weights: Annotated[
        Literal["balanced"] | Sequence[Annotated[float, Field(ge=0, le=1e6)]] | None,
        Field(
            description="one weight a class in the order of the vocab, balanced (inverse to how often the class occurs "
            "among the training images, 1 on average over these), or null for equal ones"
        ),
    ] = None

    @model_validator(mode="after")
    def _some_weight(self) -> "CrossEntropy":
        if self.class_weights is not None and not any(self.class_weights):
            raise ValueError(f"loss.class_weights={list(self.class_weights)!r} is not allowed: not all of them 0")
        return self


@declared("loss", "pets.model.losses.OneVsRest")
class OneVsRest:
    """A sigmoid a class."""


@declared("optimizer", "torch.optim.AdamW", passed=None)
class AdamW:
    """Decoupled weight decay, with fastai's constants."""

    lr: Annotated[float, Field(gt=0, description="until the recipe's schedule sets the rate of each layer group")] = (
        1e-3
    )
    betas: Annotated[
        Sequence[Annotated[float, Field(ge=0, lt=1)]],
        Field(
            min_length=2,
            max_length=2,
            description="momentum (the schedule sets it) and decay of the squared gradients; fastai's values",
        ),
    ] = (0.9, 0.99)
    eps: Annotated[float, Field(gt=0, description="added to the root of the squared gradients; fastai's value")] = 1e-5
    weight_decay: Annotated[float, Field(ge=0, description="fastai's value")] = 0.01
    fused: Annotated[
        bool | None,
        Field(
            description="true: one kernel updates all parameters, faster; "
            "then no gradient_clip_val under mixed precision"
        ),
    ] = None


@declared("optimizer", "torch.optim.SGD", passed=None)
class SGD:
    """For comparison."""

    lr: Annotated[float, Field(gt=0, description="until the recipe's schedule sets the rate of each layer group")] = (
        1e-2
    )
    momentum: Annotated[float, Field(ge=0, lt=1, description="until the schedule sets it")] = 0.9
    weight_decay: Annotated[
        float, Field(ge=0, description="added to the gradient; torchvision's value for ImageNet")
    ] = 1e-4
    nesterov: Annotated[bool, Field(description="look ahead along the momentum")] = True
