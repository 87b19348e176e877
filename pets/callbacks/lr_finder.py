"""The LR range test on a throw-away copy of the model, before the first step of a run."""

import copy
import itertools
import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import GradClipAlgorithmType, rank_zero_only, rank_zero_warn
from torch import Tensor
from torch.optim import Optimizer

from pets import console, private_api
from pets.callbacks.boards import PICTURES, log_figure
from pets.callbacks.one_cycle import OneCycle, data_module_for
from pets.data.batch import Batch
from pets.errors import UserError
from pets.evaluation.figures.lr_curve import lr_curve_figure
from pets.files import or_warn, write_figure, write_text
from pets.schedule.lr_range import WHY, LRCurve, has_diverged, label, learning_rate, smooth
from pets.schedule.recipe import Phase, Recipe
from pets.settings import training as settings

_inform = rank_zero_only(logging.getLogger(__name__).info)


class LRFinder(Callback):
    """Run the LR range test at the start of a fit and report what it suggests; the run itself is not touched.

    The test trains a copy of the module with an optimizer, a loader and random numbers of its own, in the state of the
    recipe's first phase: same frozen groups, same size of images, same ratio between the groups' learning rates (the
    head's is varied). It leaves `lr_finder.json` and `lr_finder.png`, which loggers show too. A resumed run skips it.

    Args:
        mode: "report" only; "apply" gives the suggestion to OneCycle as base learning rate, if it is reliable.
        suggestion: Which rule "apply" follows: valley, slide, steep or minimum.
        start_lr: First learning rate, above 0.
        end_lr: Learning rate that the test would end at, above `start_lr`.
        num_steps: Optimizer steps, at least 30.
        dirpath: Folder of the two files; None: they are not written.
        recipe: The recipe, for a fit without OneCycle, such as one of no epochs that only runs the test.

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
    return head_lr * (recipe.base_lr / recipe.phases[0].group_lrs()["head"])


def lr_range_test(
    trainer: Trainer, module: LightningModule, phase: Phase, start_lr: float, end_lr: float, num_steps: int
) -> LRCurve:
    """Train a copy of a module at exponentially growing learning rates until its smoothed loss diverges.

    Nothing of the caller changes: neither module nor loader nor the state of the random generators. Several processes
    average gradients and losses, so all see the same curve and stop at the same step.

    Args:
        trainer: A trainer that is fitting `module`, at any moment after its device is set up.
        module: What is copied; its `configure_optimizers` returns one optimizer.
        phase: Which layer groups learn, the ratio between their learning rates, and the size of the images.
        start_lr: First learning rate of the head.
        end_lr: Learning rate of the head that a step after the last would have.
        num_steps: Steps, each of as many batches as the trainer accumulates.
    """
    lrs: list[float] = []
    losses: list[float] = []
    with _random_states_kept(module.device), _images_of(trainer, phase):
        twin = _Twin(trainer, module, phase)
        with console.progress("LR finder", num_steps, shown=None if trainer.is_global_zero else False) as bar:
            for step in range(num_steps):
                lrs.append(learning_rate(step, num_steps, start_lr, end_lr))
                losses.append(twin.step(lrs[-1]))
                bar.tell(completed=step + 1, note=f"learning rate {lrs[-1]:.1e}, loss {losses[-1]:.4f}")
                if has_diverged(smooth(losses)):
                    break
    return LRCurve(lrs, losses, num_steps, twin.images // len(losses))


@contextmanager
def _random_states_kept(device: torch.device) -> Iterator[None]:
    python_state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)


@contextmanager
def _images_of(trainer: Trainer, phase: Phase) -> Iterator[None]:
    data = data_module_for(trainer, [phase])
    if data is None:
        yield
        return
    before, data.train_size = data.train_size, phase.size
    try:
        yield
    finally:
        data.train_size = before


class _Twin:
    """A copy of the module that trains as the original would: same precision, clipping and accumulation."""

    def __init__(self, trainer: Trainer, module: Any, phase: Phase) -> None:
        self.trainer = trainer
        self.module = copy.deepcopy(module)
        self.module.trainer = trainer
        self.module.log = self.module.log_dict = _ignore
        if phase.frozen:
            self.module.freeze_to("head")
        else:
            self.module.unfreeze()
        self.optimizer: Optimizer = self.module.configure_optimizers()
        peaks = phase.group_lrs()
        self.ratios = {name: peak / peaks["head"] for name, peak in peaks.items()}
        scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
        self.scaler = torch.amp.GradScaler(module.device.type, enabled=scaled)
        self.batches = _batches(trainer)
        self.images = 0

    def step(self, lr: float) -> float:
        """Do one optimizer step at a learning rate of the head; return the loss before it, averaged over processes."""
        trainer, plugin = self.trainer, self.trainer.precision_plugin
        for group in self.optimizer.param_groups:
            group["lr"] = lr * self.ratios[group["name"].split("/")[0]]
        self.optimizer.zero_grad()
        total = torch.zeros((), device=self.module.device)
        for index, batch in itertools.islice(self.batches, trainer.accumulate_grad_batches):
            with plugin.train_step_context():
                loss: Tensor = self.module.training_step(batch, index) / trainer.accumulate_grad_batches
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
            self.images += len(batch.targets) * trainer.world_size
        self._average_gradients()
        self.scaler.unscale_(self.optimizer)
        algorithm = GradClipAlgorithmType(trainer.gradient_clip_algorithm or "norm")
        plugin.clip_gradients(self.optimizer, trainer.gradient_clip_val or 0.0, algorithm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return float(trainer.strategy.reduce(total, reduce_op="mean"))

    def _average_gradients(self) -> None:
        if self.trainer.world_size == 1:
            return
        for parameter in self.module.parameters():
            if parameter.grad is not None:
                parameter.grad = self.trainer.strategy.reduce(parameter.grad, reduce_op="mean")


def _ignore(*args: Any, **kwargs: Any) -> None:
    """Take the place of `log` in a copy that has nothing to report."""


def _batches(trainer: Trainer) -> Iterator[tuple[int, Batch]]:
    """Yield (index in the epoch, batch on the device) of the training data, epoch after epoch, as a fit does."""
    module = trainer.lightning_module
    loader = private_api.new_training_loader(trainer)
    # A loader can hold a generator, or workers that persist: the copy draws from its own. The data is shared.
    loader = copy.deepcopy(loader, {id(loader.dataset): loader.dataset})
    # As Lightning does; they are one sampler, or two where the loader was given a batch sampler.
    samplers = {id(sampler): sampler for sampler in (loader.sampler, getattr(loader.batch_sampler, "sampler", None))}
    for epoch in itertools.count():
        for sampler in samplers.values():
            if set_epoch := getattr(sampler, "set_epoch", None):
                set_epoch(epoch)
        index = -1
        for index, batch in enumerate(loader):
            batch = private_api.before_batch_transfer(module, trainer.precision_plugin.convert_input(batch))
            yield index, trainer.strategy.batch_to_device(batch)
        if index < 0:
            raise UserError("LRFinder: the training loader has no batch")
