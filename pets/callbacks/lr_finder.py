"""The LR finder: the range test before the first step of a run, and what it suggests."""

import logging
from pathlib import Path
from typing import Literal

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only, rank_zero_warn

from pets import console
from pets.callbacks.boards import PICTURES, log_figure
from pets.callbacks.one_cycle import OneCycle
from pets.callbacks.range_test import lr_range_test
from pets.errors import UserError
from pets.evaluation.figures.lr_curve import lr_curve_figure
from pets.evaluation.figures.style import write_figure
from pets.files import or_warn, write_text
from pets.schedule.lr_range import WHY, LRCurve, label
from pets.schedule.recipe import Recipe
from pets.settings import training as settings

_inform = rank_zero_only(logging.getLogger(__name__).info)


class LRFinder(Callback):
    """Run the LR range test at the start of a fit and report what it suggests; the run itself is not touched.

    The test trains a copy of the module with an optimizer, a loader and random numbers of its own, in the state of the
    recipe's first phase: same frozen groups, same size of images, same ratio between the groups' learning rates (the
    head's is varied). It leaves `lr_finder.json` and `lr_finder.png`, which loggers show too. A resumed run skips it.

    With the mode "apply", OneCycle gets the suggestion as base learning rate, if it is reliable. The arguments are the
    settings of `pets.settings.training.LRFinder`, and `recipe`, for a fit without OneCycle.

    Attributes:
        curve: The result, once the test has run.

    Raises:
        ValueError: Naming `lr_finder.<key>`, the value and what is allowed.
    """

    def __init__(
        self,
        mode: Literal["report", "apply"] = "report",
        suggestion: Literal["valley", "slide", "steep", "minimum"] = "valley",
        start_lr: float = 1e-7,
        end_lr: float = 10.0,
        num_steps: int = 100,
        dirpath: str | Path | None = None,
        recipe: Recipe | None = None,
    ) -> None:
        settings.LRFinder(mode, suggestion, start_lr, end_lr, num_steps, dirpath)
        self.mode = mode
        self.suggestion = suggestion
        self.start_lr, self.end_lr, self.num_steps = start_lr, end_lr, num_steps
        self.dirpath = dirpath
        self.recipe = recipe
        self.curve: LRCurve | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.ckpt_path is not None:
            _inform("LR finder skipped: the run resumes from a checkpoint")
            return
        one_cycle = next((one for one in trainer.callbacks if isinstance(one, OneCycle)), None)  # type: ignore[attr-defined]
        recipe = self.recipe or (one_cycle.recipe if one_cycle else None)
        if recipe is None:
            raise UserError("LRFinder needs the OneCycle callback in the trainer, or a recipe of its own")
        phase = recipe.phases[0]
        self.curve = lr_range_test(trainer, pl_module, phase, self.start_lr, self.end_lr, self.num_steps)
        picture = self._leave(trainer, self.curve) if trainer.is_global_zero else None
        self._tell(self.curve, recipe, picture)
        if self.mode == "apply" and one_cycle is not None:
            self._apply(self.curve, one_cycle)

    def _tell(self, curve: LRCurve, recipe: Recipe, picture: Path | None) -> None:
        """Print one suggestion, why, and what to type; the others in grey."""
        doubt, name = curve.doubt_about(self.suggestion), self.suggestion
        if doubt:
            _inform(f"LR finder: no reliable suggestion: {doubt}")
        else:
            base_lr = _base_lr(curve.suggestions[name], recipe)
            _inform(f"LR finder: recipe.base_lr={base_lr:.2e}")
            _inform(f"  {label(name)}: {WHY[name]}, at {curve.batch_size} images a step")
        others = [f"{label(rule)} {lr:.2e}" for rule, lr in curve.suggestions.items() if doubt or rule != name]
        if others:
            _inform(f"  {'found' if doubt else 'others'}, for the head: {', '.join(others)}", extra=console.MUTED)
        if picture:
            _inform(f"  picture: {console.path_text(picture)}")

    def _leave(self, trainer: Trainer, curve: LRCurve) -> Path | None:
        """Show the curve in the loggers; leave it in the folder as JSON and as a picture, whose path is returned."""
        picture = None
        if self.dirpath is not None:
            folder = Path(self.dirpath)
            folder.mkdir(parents=True, exist_ok=True)
            write_text(folder / "lr_finder.json", curve.to_json() + "\n")
            picture = folder / "lr_finder.png"
        with or_warn(picture or "lr_finder.png"):
            figure = lr_curve_figure(curve)
            if picture:
                write_figure(picture, figure)
            log_figure(trainer.loggers, f"{PICTURES}/lr_finder", figure)
        return picture

    def _apply(self, curve: LRCurve, one_cycle: OneCycle) -> None:
        recipe = one_cycle.recipe
        if doubt := curve.doubt_about(self.suggestion):
            rank_zero_warn(f"lr_finder=apply has no effect, base_lr stays {recipe.base_lr:.2e}: {doubt}")
            return
        base_lr = _base_lr(curve.suggestions[self.suggestion], recipe)
        one_cycle.set_base_lr(base_lr)
        _inform(f"LR finder: base_lr is {base_lr:.2e} now, it was {recipe.base_lr:.2e}")


def _base_lr(head_lr: float, recipe: Recipe) -> float:
    """Return the base learning rate with which the head peaks at a rate in the first phase.

    The two need not be the same: fine_tune(freeze_epochs=0) starts with half the base.
    """
    return head_lr * (recipe.base_lr / recipe.phases[0].head_lr)
