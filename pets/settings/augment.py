"""Settings of the batch transform, on the device."""

from typing import Annotated, Literal

from pydantic import Field

from pets.settings.declare import declared


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
    mix: Literal["none", "mixup", "cutmix"] = "none"
    """mixing of training images with each other: none, mixup or cutmix"""
    mix_alpha: Annotated[float, Field(ge=0.01, le=100)] = 0.4
    """parameter of the Beta distribution of the mixing share; used when mix is on"""
