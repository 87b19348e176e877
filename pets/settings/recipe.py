"""Settings of a recipe: phases, and the short forms that fastai users know."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from pets.settings.declare import declared
from pets.settings.parts import GROUPS, MOST_GROUPS

Rate = Annotated[float, Field(gt=0)]
Momenta = Annotated[Sequence[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=3, max_length=3)]


@declared("recipe", "pets.schedule.recipe.fine_tune")
class FineTune:
    """fastai's `Learner.fine_tune`."""

    epochs: Annotated[int, Field(ge=0)] = 2
    """epochs with everything unfrozen"""
    freeze_epochs: Annotated[int, Field(ge=0)] = 1
    """epochs with only the head learning, before that"""
    base_lr: Annotated[float, Field(gt=0)] = 0.002
    """highest learning rate of the head while the body is frozen; half of it afterwards"""
    lr_mult: Annotated[float, Field(gt=0)] = 100.0
    """once unfrozen: learning rate of the head divided by that of the early layers"""
    pct_start: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """share of the unfrozen phase in which the learning rate rises"""
    div: Annotated[float, Field(ge=1)] = 5.0
    """the unfrozen phase starts at its highest learning rate divided by this"""
    momenta: Momenta = (0.95, 0.85, 0.95)
    """momentum (beta1) at the start, peak and end of a phase"""

    @model_validator(mode="after")
    def _some_epoch(self) -> "FineTune":
        if self.epochs + self.freeze_epochs == 0:
            raise ValueError("recipe.epochs=0 is not allowed: at least 1 when freeze_epochs is 0")
        return self


@declared("recipe", "pets.schedule.recipe.probe")
class Probe:
    """No epochs: the head that `model.head.init` solves, on the body as it is."""


@declared("recipe", "pets.schedule.recipe.one_cycle")
class OneCycle:
    """fastai's `freeze`, `unfreeze` and `fit_one_cycle`, call by call."""

    phases: Annotated[Sequence[Any], Field(min_length=1)]
    """one after the other; also pct_start, div, div_final, momenta and size (side of its training images) can be set in
    each"""
    base_lr: Rate | None = None
    """scales all phases so that the head peaks at this in the first; null keeps them as they are"""


@declared("recipe.phases[]")
class Phase:
    """One cycle of training (fastai's `fit_one_cycle`, with its constants)."""

    epochs: Annotated[int, Field(ge=1)]
    """epochs of the phase"""
    frozen: bool
    """train the head only"""
    lr: Annotated[
        Rate | Annotated[Sequence[Rate], Field(min_length=1, max_length=MOST_GROUPS)],
        Field(
            description="highest learning rate: one for all layer groups, [low, high] spread geometrically over them, "
            "one for each of " + ", ".join(GROUPS) + ", or with model.groups=N one for each of N"
        ),
    ]
    pct_start: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """share of the phase in which the learning rate rises"""
    div: Annotated[float, Field(ge=1)] = 25.0
    """the first learning rate is the peak divided by this"""
    div_final: Annotated[float, Field(ge=1)] = 1e5
    """the last learning rate is the peak divided by this"""
    momenta: Momenta = (0.95, 0.85, 0.95)
    """momentum (Adam's beta1) at the start, at the peak and at the end"""
    size: Annotated[int, Field(ge=8, le=8192)] | None = None
    """side of the training images in pixels; null: augment.size, which evaluation keeps"""

    @field_validator("lr", "momenta")
    @classmethod
    def _as_tuple(cls, values: float | Sequence[float]) -> float | Sequence[float]:
        if isinstance(values, float):
            return values
        return tuple(values) if len(values) > 1 else values[0]
