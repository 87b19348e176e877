"""Settings of the batch transform, on the device."""

from typing import Annotated, Literal

from pydantic import Field

from pets.settings.declare import declared


@declared("augment", "pets.augment.batch.BatchTransform")
class Augment:
    """fastai's `aug_transforms(size=224, min_scale=0.75)`, every parameter sampled per image."""

    size: Annotated[int, Field(ge=8, le=8192, description="side of the images given to the model, in pixels")] = 224
    min_scale: Annotated[
        float,
        Field(
            ge=0.01,
            le=1,
            description="smallest area of the random crop, as a fraction of the presized square; 1 keeps all of it",
        ),
    ] = 0.75
    p_flip: Annotated[float, Field(ge=0, le=1, description="probability of a horizontal flip")] = 0.5
    max_rotate: Annotated[float, Field(ge=0, le=180, description="largest rotation to either side, in degrees")] = 10.0
    max_zoom: Annotated[float, Field(ge=1, le=10, description="largest magnification; 1 is none")] = 1.1
    max_warp: Annotated[
        float,
        Field(
            ge=0,
            le=0.3,
            description="largest perspective distortion to either side, as a fraction of an edge (0 to 0.3)",
        ),
    ] = 0.2
    p_affine: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="probability of rotation, of zoom, of horizontal and of vertical warp, each on its own",
        ),
    ] = 0.75
    max_lighting: Annotated[
        float, Field(ge=0, le=0.9, description="strength of brightness and contrast changes (0 to 0.9)")
    ] = 0.2
    p_lighting: Annotated[
        float, Field(ge=0, le=1, description="probability of brightness and of contrast, each on its own")
    ] = 0.75
    supersample: Annotated[
        int,
        Field(
            ge=1,
            le=2,
            description="points read along each axis of an output pixel in training: 1, or 2 (sharper, slower)",
        ),
    ] = 1
    mix: Annotated[
        Literal["none", "mixup", "cutmix"],
        Field(description="mixing of training images with each other: none, mixup or cutmix"),
    ] = "none"
    mix_alpha: Annotated[
        float,
        Field(
            ge=0.01,
            le=100,
            description="parameter of the Beta distribution of the mixing share; used when mix is on",
        ),
    ] = 0.4
