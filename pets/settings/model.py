"""Settings of the network: backbone, head, loss, optimizer."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pets.settings.declare import PathText, Text, declared
from pets.settings.parts import GROUPS, MOST_GROUPS

Library = Literal["torchvision", "timm"]
RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
"""The architectures of torchvision."""
WITH_TIMM = "model=timm has ResNets that can"


@declared("model", "pets.model.classifier.Classifier", children=("head", "loss", "optimizer"))
class Model:
    """The backbone and how it is treated."""

    library: Library = "torchvision"
    """library of the backbone: torchvision; for timm take model=timm"""
    arch: Annotated[Text, Field(max_length=1000, description=", ".join(RESNETS))] = "resnet34"
    weights: PathText | None = "IMAGENET1K_V1"
    """name of torchvision's weights, path of a state dict, or null: random, normalised as ImageNet all the same"""
    frozen_bn: Literal["train", "eval", "always"] = "always"
    """norms of frozen groups: train (fastai: they keep learning), eval (they stay as they are); always: pretrained
    norms stay even unfrozen"""
    compile: bool = False
    """torch.compile: slow first steps, then faster ones; worth it on a GPU and in long runs"""
    groups: Annotated[int, Field(ge=len(GROUPS), le=MOST_GROUPS)] = len(GROUPS)
    """layer groups, each with a learning rate of its own: the body divided evenly by depth, and the head"""
    drop_path: Annotated[float, Field(ge=0, lt=1)] | None = None
    """stochastic depth, in [0, 1): how often the last block is skipped in training, earlier ones less; null: as timm
    has it for the architecture"""
    class_token: bool = True
    """transformers whose weights have one: the head sees the class token, or attention pooling, beside the patch
    tokens"""
    grad_checkpointing: bool = False
    """compute activations again in the backward pass: less memory, longer steps"""

    @model_validator(mode="after")
    def _known(self) -> "Model":
        if self.library == "torchvision" and self.arch not in RESNETS:
            raise ValueError(
                f"model.arch={self.arch!r} is not allowed: {', '.join(RESNETS)}, or any name with model.library=timm"
            )
        if self.library == "torchvision" and self.drop_path:
            raise ValueError(f"model.drop_path={self.drop_path} is not allowed: 0 or null; {WITH_TIMM}")
        if self.library == "torchvision" and self.grad_checkpointing:
            raise ValueError(f"model.grad_checkpointing=true is not allowed: false; {WITH_TIMM}")
        return self


@declared("model.head")
class Head:
    """New layers after the backbone; fastai's values where fastai has the option."""

    kind: Literal["concat_pool", "linear"] = "concat_pool"
    """concat_pool (fastai's) or linear"""
    hidden: Annotated[int, Field(ge=1, le=65_536)] = 512
    """width of the hidden layer of concat_pool"""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """before the last layer, in [0, 1); concat_pool applies half of it before the hidden layer"""
    normalize: bool = False
    """linear only: scale each image's pooled features to a root mean square of 1, as cosine classifiers do"""
    init: Literal["random", "lda", "logistic"] = "random"
    """random; or, linear only, solved from the features of the training images: lda (linear discriminant analysis),
    logistic (multinomial logistic regression)"""
    shrinkage: Annotated[float, Field(gt=0, le=1)] | Literal["auto"] = 0.9
    """of lda, in (0, 1]: share of the covariance that is replaced by a multiple of the identity; auto: by
    cross-validation"""
    C: Annotated[float, Field(gt=0)] | Literal["auto"] = "auto"
    """of logistic: inverse strength of the penalty on the weights, as scikit-learn's C; auto: by cross-validation"""

    @model_validator(mode="after")
    def _fits_the_kind(self) -> "Head":
        if self.kind != "linear" and (self.normalize or self.init != "random"):
            key = "normalize=true" if self.normalize else f"init={self.init}"
            raise ValueError(f"model.head.{key}: needs model.head.kind=linear, not {self.kind}")
        return self


@declared("loss", "pets.model.losses.CrossEntropy")
class CrossEntropy:
    """Softmax cross entropy."""

    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """share of the target spread evenly over the classes, in [0, 1)"""
    class_weights: Literal["balanced"] | Sequence[Annotated[float, Field(ge=0, le=1e6)]] | None = None
    """one weight a class in the order of the vocab, balanced (inverse to how often the class occurs among the training
    images, 1 on average over these), or null for equal ones"""

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

    lr: Annotated[float, Field(gt=0)] = 1e-3
    """until the recipe's schedule sets the rate of each layer group"""
    betas: Annotated[Sequence[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)] = (0.9, 0.99)
    """momentum (the schedule sets it) and decay of the squared gradients; fastai's values"""
    eps: Annotated[float, Field(gt=0)] = 1e-5
    """added to the root of the squared gradients; fastai's value"""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """fastai's value"""
    fused: bool | None = None
    """true: one kernel updates all parameters, faster; then no gradient_clip_val under mixed precision"""


@declared("optimizer", "torch.optim.SGD", passed=None)
class SGD:
    """For comparison."""

    lr: Annotated[float, Field(gt=0)] = 1e-2
    """until the recipe's schedule sets the rate of each layer group"""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """until the schedule sets it"""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    """added to the gradient; torchvision's value for ImageNet"""
    nesterov: bool = True
    """look ahead along the momentum"""
