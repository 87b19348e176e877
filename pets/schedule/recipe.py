"""What a run does, as a list of phases: how many epochs, frozen or not, at which learning rates."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from pets.errors import UserError
from pets.settings import recipe as settings
from pets.settings.parts import GROUPS


class Phase(settings.Phase):
    """One cycle of training (fastai's `fit_one_cycle`, with its constants); see `pets.settings.recipe.Phase`.

    Raises:
        UserError: For a value out of its range, naming field, value and range.
    """

    @property
    def head_lr(self) -> float:
        """The peak learning rate of the head, which is always the last layer group."""
        return self.lr if isinstance(self.lr, float) else self.lr[-1]

    def group_lrs(self, groups: Sequence[str] = GROUPS) -> dict[str, float]:
        """Return the peak learning rate of each layer group, in their order.

        A pair is spread like fastai's `slice(low, high)`: geometrically. Three rates are those of the early half of the
        body, the late half and the head, into however many groups the body is divided.

        Raises:
            UserError: There are neither one, two nor three rates, nor one for each group.
        """
        if isinstance(self.lr, float):
            return dict.fromkeys(groups, self.lr)
        last = len(groups) - 1
        if len(self.lr) == len(groups):
            return dict(zip(groups, self.lr, strict=True))
        if len(self.lr) == len(GROUPS):
            early, late, head = self.lr
            return {group: head if i == last else early if 2 * i < last else late for i, group in enumerate(groups)}
        if len(self.lr) == 2:
            low, high = self.lr
            return {group: high if i == last else low * (high / low) ** (i / last) for i, group in enumerate(groups)}
        layers = f", or one for each of {', '.join(groups)}" if len(groups) != len(GROUPS) else ""
        raise UserError(
            f"recipe.phases[].lr={list(self.lr)!r} is not allowed: one rate, a pair [low, high], or one for each of "
            f"{', '.join(GROUPS)}{layers}"
        )

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

    def check_groups(self, groups: Sequence[str]) -> None:
        """Check that every phase has a learning rate for each of these layer groups.

        Raises:
            UserError: Naming `recipe.phases[i].lr`, the value and what is allowed.
        """
        for index, phase in enumerate(self.phases):
            with _named(index):
                phase.group_lrs(groups)

    def with_base_lr(self, base_lr: float) -> "Recipe":
        """Return the recipe for another base learning rate: ratios between groups and between phases stay.

        Raises:
            ValueError: If `base_lr` is not a finite number above 0.
        """
        settings.OneCycle(self.phases, base_lr)
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
    settings.FineTune(epochs, freeze_epochs, base_lr, lr_mult, pct_start, div, momenta)
    top = base_lr / 2
    frozen = Phase(freeze_epochs or 1, True, (base_lr / 10, base_lr / 10, base_lr), pct_start=0.99, momenta=momenta)
    unfrozen = Phase(epochs or 1, False, (top / lr_mult, top), pct_start=pct_start, div=div, momenta=momenta)
    phases = [frozen] * (freeze_epochs > 0) + [unfrozen] * (epochs > 0)
    return Recipe(tuple(phases), float(base_lr))


def probe() -> Recipe:
    """Return the recipe without epochs: a run leaves the head that it starts with (a linear probe of the body)."""
    return Recipe((), 1.0)


def one_cycle(phases: Sequence[Phase | Mapping[str, Any]], base_lr: float | None = None) -> Recipe:
    """Return a recipe of explicit phases (fastai's `freeze`, `unfreeze` and `fit_one_cycle`, call by call).

    Args:
        phases: `Phase` objects or mappings of their fields.
        base_lr: Scales every phase so that the head peaks at this in the first one; None leaves the phases as they are.

    Raises:
        ValueError: Naming `recipe.phases[i].<key>`, the value and what is allowed.
    """
    settings.OneCycle(phases, base_lr)
    built = tuple(_phase(phase, index) for index, phase in enumerate(phases))
    recipe = Recipe(built, built[0].head_lr)
    return recipe if base_lr is None else recipe.with_base_lr(base_lr)


def _phase(phase: Phase | Mapping[str, Any], index: int) -> Phase:
    if isinstance(phase, Phase):
        return phase
    if not isinstance(phase, Mapping):
        raise UserError(f"recipe.phases[{index}]={phase!r} is not allowed: a mapping of phase settings")
    with _named(index):
        return Phase(**{str(name): value for name, value in phase.items()})


@contextmanager
def _named(index: int) -> Iterator[None]:
    """Say in an error which of the phases it is about."""
    prefix: str = settings.Phase.PREFIX  # type: ignore[attr-defined]
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace(prefix, f"recipe.phases[{index}]")) from None
