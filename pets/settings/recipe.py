"""Settings of a recipe: phases, and the short forms that fastai users know."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from pets.settings.declare import declared
from pets.settings.parts import GROUPS

Rate = Annotated[float, Field(gt=0)]
Momenta = Annotated[Sequence[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=3, max_length=3)]


@declared("recipe", "pets.schedule.recipe.fine_tune")
class FineTune:
    """fastai's `Learner.fine_tune`."""

    epochs: Annotated[int, Field(ge=0, description="epochs with everything unfrozen")] = 2
    freeze_epochs: Annotated[int, Field(ge=0, description="epochs with only the head learning, before that")] = 1
    base_lr: Annotated[
        float,
        Field(
            gt=0,
            description="highest learning rate of the head while the body is frozen; half of it afterwards",
        ),
    ] = 0.002
    lr_mult: Annotated[
        float,
        Field(
            gt=0,
            description="once unfrozen: learning rate of the head divided by that of the early layers",
        ),
    ] = 100.0
    pct_start: Annotated[
        float,
        Field(gt=0, lt=1, description="share of the unfrozen phase in which the learning rate rises"),
    ] = 0.3
    div: Annotated[
        float,
        Field(ge=1, description="the unfrozen phase starts at its highest learning rate divided by this"),
    ] = 5.0
    momenta: Annotated[Momenta, Field(description="momentum (beta1) at the start, peak and end of a phase")] = (
        0.95,
        0.85,
        0.95,
    )

    @model_validator(mode="after")
    def _some_epoch(self) -> "FineTune":
        if self.epochs + self.freeze_epochs == 0:
            raise ValueError("recipe.epochs=0 is not allowed: at least 1 when freeze_epochs is 0")
        return self


@declared("recipe", "pets.schedule.recipe.one_cycle")
class OneCycle:
    """fastai's `freeze`, `unfreeze` and `fit_one_cycle`, call by call."""

    phases: Annotated[
        Sequence[Any],
        Field(
            min_length=1,
            description="one after the other; also pct_start, div, div_final, momenta and size "
            "(side of its training images) can be set in each",
        ),
    ]
    base_lr: Annotated[
        Rate | None,
        Field(description="scales all phases so that the head peaks at this in the first; null keeps them as they are"),
    ] = None


@declared("recipe.phases[]")
class Phase:
    """One cycle of training (fastai's `fit_one_cycle`, with its constants)."""

    epochs: Annotated[int, Field(ge=1, description="epochs of the phase")]
    frozen: Annotated[bool, Field(description="train the head only")]
    lr: Annotated[
        Rate | Annotated[Sequence[Rate], Field(min_length=1)],
        Field(
            description="highest learning rate: one for all groups, [low, high] spread geometrically, "
            "or one for each of " + ", ".join(GROUPS)
        ),
    ]
    pct_start: Annotated[
        float, Field(gt=0, lt=1, description="share of the phase in which the learning rate rises")
    ] = 0.25
    div: Annotated[float, Field(ge=1, description="the first learning rate is the peak divided by this")] = 25.0
    div_final: Annotated[float, Field(ge=1, description="the last learning rate is the peak divided by this")] = 1e5
    momenta: Annotated[
        Momenta, Field(description="momentum (Adam's beta1) at the start, at the peak and at the end")
    ] = (0.95, 0.85, 0.95)
    size: Annotated[
        Annotated[int, Field(ge=8, le=8192)] | None,
        Field(description="side of the training images in pixels; null: augment.size, which evaluation keeps"),
    ] = None

    @field_validator("lr", "momenta")
    @classmethod
    def _as_tuple(cls, values: float | Sequence[float]) -> float | Sequence[float]:
        if isinstance(values, float):
            return values
        return tuple(values) if len(values) > 1 else values[0]

    @model_validator(mode="after")
    def _rates_for_groups(self) -> "Phase":
        if not isinstance(self.lr, float) and len(self.lr) not in (2, len(GROUPS)):
            raise ValueError(
                f"recipe.phases[].lr={list(self.lr)!r} is not allowed: a number above 0, a pair [low, high], "
                f"or one for each of {', '.join(GROUPS)}"
            )
        return self
