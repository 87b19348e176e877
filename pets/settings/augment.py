"""Settings of the batch transform, on the device."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from pets.settings.declare import declared, shown

STEP = "{_target_: pets.augment.erasing.RandomErasing, p: 0.5}"
"""What a step looks like, for messages."""


@declared("augment", "pets.augment.batch.BatchTransform")
class Augment:
    """fastai's `aug_transforms(size=224, min_scale=0.75)`, every parameter sampled per image."""

    size: Annotated[int, Field(ge=8, le=8192)] = 224
    """side of the images given to the model, in pixels"""
    min_scale: Annotated[float, Field(ge=0.01, le=1)] = 0.75
    """smallest area of the random crop, as a fraction of the presized square; 1 keeps all of it"""
    p_flip: Annotated[float, Field(ge=0, le=1)] = 0.5
    """probability of a horizontal flip"""
    max_rotate: Annotated[float, Field(ge=0, le=180)] = 10.0
    """largest rotation to either side, in degrees"""
    max_zoom: Annotated[float, Field(ge=1, le=10)] = 1.1
    """largest magnification; 1 is none"""
    max_warp: Annotated[float, Field(ge=0, le=0.3)] = 0.2
    """largest perspective distortion to either side, as a fraction of an edge (0 to 0.3)"""
    p_affine: Annotated[float, Field(ge=0, le=1)] = 0.75
    """probability of rotation, of zoom, of horizontal and of vertical warp, each on its own"""
    max_lighting: Annotated[float, Field(ge=0, le=0.9)] = 0.2
    """strength of brightness and contrast changes (0 to 0.9)"""
    p_lighting: Annotated[float, Field(ge=0, le=1)] = 0.75
    """probability of brightness and of contrast, each on its own"""
    supersample: Annotated[int, Field(ge=1, le=2)] = 1
    """points read along each axis of an output pixel in training: 1, or 2 (sharper, slower)"""
    steps: Sequence[Any] = ()
    """further steps, each with a _target_: pets.augment.erasing.RandomErasing, pets.augment.trivial.TrivialAugment, or
    a class of your own"""
    mix: Literal["none", "mixup", "cutmix"] = "none"
    """mixing of training images with each other: none, mixup or cutmix"""
    mix_alpha: Annotated[float, Field(ge=0.01, le=100)] = 0.4
    """parameter of the Beta distribution of the mixing share; used when mix is on"""

    @field_validator("steps")
    @classmethod
    def _as_tuple(cls, steps: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(steps)

    @model_validator(mode="after")
    def _steps_are_steps(self) -> "Augment":
        for place, step in enumerate(self.steps):
            if isinstance(step, Mapping) and "_target_" in step:
                continue  # not built yet
            if not (callable(step) and isinstance(getattr(step, "n_uniforms", None), int)):
                raise ValueError(
                    f"augment.steps[{place}]={shown(step)} is not allowed: {STEP}, or another class whose objects have "
                    "n_uniforms and are called with (images, uniforms)"
                )
        return self


@declared("augment.steps[]", "pets.augment.erasing.RandomErasing")
class RandomErasing:
    """Rectangles that lose their picture (Zhong et al., 2020)."""

    p: Annotated[float, Field(ge=0, le=1)] = 0.5
    """probability that an image loses a rectangle"""
    min_area: Annotated[float, Field(gt=0, le=1)] = 0.02
    """smallest area of the rectangle, as a fraction of the image"""
    max_area: Annotated[float, Field(gt=0, le=1)] = 0.33
    """largest area of the rectangle, as a fraction of the image"""
    max_ratio: Annotated[float, Field(ge=1, le=100)] = 3.3
    """largest ratio of its longer side to its shorter one"""
    value: Annotated[float, Field(ge=0, le=1)] = 0.5
    """grey that takes its place: 0 black, 1 white"""

    @model_validator(mode="after")
    def _areas_in_order(self) -> "RandomErasing":
        if self.min_area > self.max_area:
            raise ValueError(
                f"augment.steps[].min_area={self.min_area!r} is not allowed: at most max_area={self.max_area!r}"
            )
        return self


@declared("augment.steps[]", "pets.augment.trivial.TrivialAugment")
class TrivialAugment:
    """One random change of the colours (Müller & Hutter, 2021)."""
