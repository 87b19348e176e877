"""What a run does, as a list of phases: how many epochs, frozen or not, at which learning rates."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

GROUPS = ("early", "late", "head")
"""The layer groups, in the order in which learning rates are listed."""


def _require(ok: bool, key: str, value: object, allowed: str) -> None:
    if not ok:
        raise ValueError(f"{key}={value!r} is not allowed: {allowed}")


@contextmanager
def _keys_below(prefix: str) -> Iterator[None]:
    """Name the whole key in the errors of a part that only knows its own name."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{prefix}.{error}") from None


def _is_count(value: object, low: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _numbers(value: object) -> tuple[float, ...]:
    """Return the numbers of a number or a list; empty when anything in it is not a finite number."""
    values: Sequence[Any] = value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
    return tuple(float(v) for v in values) if all(map(_is_number, values)) else ()


@dataclass(frozen=True)
class Phase:
    """One cycle of training (fastai's `fit_one_cycle`, with its constants).

    Raises:
        ValueError: For a value out of its range, naming field, value and range.
    """

    epochs: int
    """Epochs, at least 1."""
    frozen: bool
    """Train the head only; whether the batch norms of the frozen body still learn is the classifier's `frozen_bn`."""
    lr: float | Sequence[float]
    """Peak learning rate: one for all groups, (low, high) spread geometrically over GROUPS, or one for each of them."""
    pct_start: float = 0.25
    """Share of the phase in which the learning rate rises, in (0, 1)."""
    div: float = 25.0
    """The first learning rate is the peak divided by this."""
    div_final: float = 1e5
    """The last learning rate is the peak divided by this."""
    momenta: Sequence[float] = (0.95, 0.85, 0.95)
    """Momentum (Adam's beta1) at the start, at the peak and at the end, each in [0, 1)."""
    size: int | None = None
    """Side of the training images in pixels, at least 8; None: that of the batch transform, which evaluation keeps."""

    def __post_init__(self) -> None:
        rates, momenta = _numbers(self.lr), _numbers(self.momenta)
        _require(_is_count(self.epochs, low=1), "epochs", self.epochs, "a whole number, at least 1")
        _require(isinstance(self.frozen, bool), "frozen", self.frozen, "true or false")
        _require(
            len(rates) in (1, 2, len(GROUPS)) and all(rate > 0 for rate in rates),
            "lr",
            self.lr,
            f"a number above 0, a pair [low, high], or one for each of {', '.join(GROUPS)}",
        )
        _require(_is_number(self.pct_start) and 0 < self.pct_start < 1, "pct_start", self.pct_start, "between 0 and 1")
        for key in ("div", "div_final"):
            value = getattr(self, key)
            _require(_is_number(value) and value >= 1, key, value, "a number, at least 1")
        _require(
            len(momenta) == 3 and all(0 <= momentum < 1 for momentum in momenta),
            "momenta",
            self.momenta,
            "three numbers (start, peak, end), each at least 0 and below 1",
        )
        sized = self.size is None or _is_count(self.size, low=8)
        _require(sized, "size", self.size, "a whole number of pixels, at least 8, or null")
        object.__setattr__(self, "lr", rates if len(rates) > 1 else rates[0])
        object.__setattr__(self, "momenta", momenta)

    def group_lrs(self) -> dict[str, float]:
        """Return the peak learning rate of each group; a pair is spread like fastai's `slice(low, high)`."""
        if isinstance(self.lr, float):
            return dict.fromkeys(GROUPS, self.lr)
        if len(self.lr) == len(GROUPS):
            return dict(zip(GROUPS, self.lr, strict=True))
        low, high = self.lr
        last = len(GROUPS) - 1
        return {group: high if i == last else low * (high / low) ** (i / last) for i, group in enumerate(GROUPS)}

    def scaled(self, factor: float) -> "Phase":
        """Return the same phase with every learning rate multiplied."""
        lr = self.lr * factor if isinstance(self.lr, float) else tuple(rate * factor for rate in self.lr)
        return replace(self, lr=lr)


@dataclass(frozen=True)
class Recipe:
    """Phases that follow each other in one run, and the base learning rate that they are expressed in."""

    phases: tuple[Phase, ...]
    base_lr: float

    @property
    def epochs(self) -> int:
        """Epochs of all phases together."""
        return sum(phase.epochs for phase in self.phases)

    def phase_at(self, epoch: int) -> tuple[int, Phase, int]:
        """Return (index, phase, first epoch) of the phase that an epoch belongs to.

        Raises:
            ValueError: If the recipe has no such epoch.
        """
        first = 0
        for index, phase in enumerate(self.phases):
            if first <= epoch < first + phase.epochs:
                return index, phase, first
            first += phase.epochs
        raise ValueError(f"epoch {epoch} is not in the recipe, which has {self.epochs} epochs")

    def with_base_lr(self, base_lr: float) -> "Recipe":
        """Return the recipe for another base learning rate: ratios between groups and between phases stay.

        Raises:
            ValueError: If `base_lr` is not a finite number above 0.
        """
        _require(_is_number(base_lr) and base_lr > 0, "recipe.base_lr", base_lr, "a number above 0")
        factor = base_lr / self.base_lr
        return Recipe(tuple(phase.scaled(factor) for phase in self.phases), base_lr)


def fine_tune(
    epochs: int = 2,
    freeze_epochs: int = 1,
    base_lr: float = 2e-3,
    lr_mult: float = 100.0,
    pct_start: float = 0.3,
    div: float = 5.0,
    momenta: Sequence[float] = (0.95, 0.85, 0.95),
) -> Recipe:
    """Train the head alone, then everything at half the rate (fastai's `Learner.fine_tune`, to the digit).

    Args:
        epochs: Epochs with everything unfrozen, 0 or more.
        freeze_epochs: Epochs with the body frozen before that, 0 or more.
        base_lr: Peak learning rate of the head in the frozen phase, where the norms of the body learn at a tenth of it;
            the head's in the unfrozen phase is half of it.
        lr_mult: The head's learning rate divided by that of the early layers, once unfrozen.
        pct_start: Share of the unfrozen phase in which the learning rate rises.
        div: The unfrozen phase starts at its peak divided by this.
        momenta: Momentum (beta1) at the start, peak and end of both phases.

    Raises:
        ValueError: Naming `recipe.<key>`, the value and what is allowed.
    """
    with _keys_below("recipe"):
        _require(_is_count(epochs, low=0), "epochs", epochs, "a whole number, at least 0")
        _require(_is_count(freeze_epochs, low=0), "freeze_epochs", freeze_epochs, "a whole number, at least 0")
        _require(epochs + freeze_epochs > 0, "epochs", epochs, "at least 1 when freeze_epochs is 0")
        _require(_is_number(base_lr) and base_lr > 0, "base_lr", base_lr, "a number above 0")
        _require(_is_number(lr_mult) and lr_mult > 0, "lr_mult", lr_mult, "a number above 0")
        top = base_lr / 2
        frozen_lrs = (base_lr / 10, base_lr / 10, base_lr)
        # Both are built even without epochs, so that a bad value is an error whatever the others are.
        frozen = Phase(max(freeze_epochs, 1), True, frozen_lrs, pct_start=0.99, momenta=momenta)
        unfrozen = Phase(max(epochs, 1), False, (top / lr_mult, top), pct_start=pct_start, div=div, momenta=momenta)
    phases = [frozen] * (freeze_epochs > 0) + [unfrozen] * (epochs > 0)
    return Recipe(tuple(phases), float(base_lr))


def one_cycle(phases: Sequence[Phase | Mapping[str, Any]], base_lr: float | None = None) -> Recipe:
    """Return a recipe of explicit phases (fastai's `freeze`, `unfreeze` and `fit_one_cycle`, call by call).

    Args:
        phases: `Phase` objects or mappings of their fields.
        base_lr: Scales every phase so that the head peaks at this in the first one; None leaves the phases as they are.

    Raises:
        ValueError: Naming `recipe.phases[i].<key>`, the value and what is allowed.
    """
    is_list = isinstance(phases, Sequence) and len(phases) > 0
    _require(is_list, "recipe.phases", phases, "a list of at least one phase")
    built = tuple(_phase(phase, index) for index, phase in enumerate(phases))
    recipe = Recipe(built, built[0].group_lrs()["head"])
    return recipe if base_lr is None else recipe.with_base_lr(base_lr)


def _phase(phase: Phase | Mapping[str, Any], index: int) -> Phase:
    if isinstance(phase, Phase):
        return phase
    key = f"recipe.phases[{index}]"
    _require(isinstance(phase, Mapping), key, phase, "a mapping of phase settings")
    known = [field.name for field in fields(Phase)]
    for name in phase:
        _require(name in known, f"{key}.{name}", phase[name], f"the settings of a phase are {', '.join(known)}")
    for name in ("epochs", "frozen", "lr"):
        _require(name in phase, f"{key}.{name}", None, "it is required")
    with _keys_below(key):
        return Phase(**{str(name): value for name, value in phase.items()})
