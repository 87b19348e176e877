"""Runs a recipe: which layer groups learn, from images of which size, at which learning rate and momentum."""

import math
from collections.abc import Iterable
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, GradientAccumulationScheduler, Timer
from lightning.pytorch.utilities import rank_zero_warn
from torch.optim import Optimizer

from pets.data.datamodule import ImageDataModule
from pets.errors import UserError
from pets.schedule.one_cycle import Position, one_cycle_lr, one_cycle_momentum, position
from pets.schedule.recipe import Phase, Recipe
from pets.settings.parts import GROUPS

HEAD = GROUPS[-1]
SHORT = 1000
"""Steps of a run up to which every one is a point of the schedule's curves, which smoothing would flatten otherwise."""


def data_module_for(trainer: Trainer, phases: Iterable[Phase]) -> ImageDataModule | None:
    """Return the data module of a fit, whose `train_size` the phases set; None if there is none and no phase has one.

    Raises:
        ValueError: A phase has a size, and there is no data module to follow it.
    """
    data = getattr(trainer, "datamodule", None)
    if isinstance(data, ImageDataModule):
        return data
    for index, phase in enumerate(phases):
        if phase.size is not None:
            raise UserError(f"recipe.phases[{index}].size={phase.size} is not allowed: the fit has no ImageDataModule")
    return None


def layer_names(optimizer: Optimizer) -> tuple[str, ...]:
    """Return the layer groups that an optimizer's parameter groups, named "<layer group>/...", belong to, in order.

    Raises:
        ValueError: A group has no name, or the last is not the head's.
    """
    names = [group.get("name", "unnamed") for group in optimizer.param_groups]
    layers = tuple(dict.fromkeys(name.split("/")[0] for name in names))
    if "unnamed" in layers or layers[-1] != HEAD:
        raise UserError(f"OneCycle needs groups named by layer, {HEAD} the last; the optimizer has {', '.join(names)}")
    return layers


class OneCycle(Callback):
    """Apply a recipe. Everything is a function of (epoch, batch), so a resumed run needs no saved schedule.

    Every phase starts with an optimizer without state, as in fastai; its parameter groups, which are named
    "<layer group>/...", stay from the first step to the last. The module has `freeze_to("head")` and `unfreeze()`.

    Args:
        recipe: The phases; the trainer's `max_epochs` is to be `recipe.epochs`.

    Raises:
        ValueError: At the start of a fit, for trainer settings under which the recipe cannot be followed.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self._found_lr: float | None = None

    def set_base_lr(self, base_lr: float) -> None:
        """Use a base learning rate found for this run; checkpoints remember it.

        Raises:
            ValueError: If it is not a finite number above 0.
        """
        self.recipe = self.recipe.with_base_lr(base_lr)
        self._found_lr = base_lr

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            self._check(trainer)
            data_module_for(trainer, self.recipe.phases)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.max_steps != -1 and trainer.ckpt_path is not None:
            # Lightning 2.6 then counts the checkpoint's epoch twice: the next has other data, and the last is left out.
            raise UserError(
                f"trainer.max_steps={trainer.max_steps} cannot be resumed: set recipe.epochs or limit_train_batches"
            )
        self._check_optimizers(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if math.isinf(trainer.num_training_batches):
            raise UserError("OneCycle needs a training loader with a length: a cycle has to know its last step")
        self._apply_phase(trainer, pl_module)
        self._set_hyperparameters(trainer.optimizers[0], self._position(trainer, 0))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._apply_phase(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if (data := data_module_for(trainer, self.recipe.phases)) is not None:
            data.train_size = None  # it may serve another fit

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx % trainer.accumulate_grad_batches:
            return
        place = self._position(trainer, batch_idx)
        optimizer = trainer.optimizers[0]
        if place.step == 0:
            optimizer.state.clear()
        scalars = self._set_hyperparameters(optimizer, place)
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and self.steps_per_epoch(trainer) * self.recipe.epochs <= SHORT:
            every = 1
        if every and trainer.global_step % every == 0:
            for logger in trainer.loggers:
                logger.log_metrics(scalars, step=trainer.global_step)

    def state_dict(self) -> dict[str, Any]:
        return {"base_lr": self._found_lr}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if state_dict["base_lr"] is not None:
            self.set_base_lr(state_dict["base_lr"])

    def _apply_phase(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Never in setup: DistributedDataParallel synchronises only what requires a gradient when it wraps.
        module: Any = pl_module
        _, phase, _ = self.recipe.phase_at(trainer.current_epoch)
        if phase.frozen:
            module.freeze_to("head")
        else:
            module.unfreeze()
        if (data := data_module_for(trainer, self.recipe.phases)) is not None:
            data.train_size = phase.size

    def _position(self, trainer: Trainer, batch_idx: int) -> Position:
        # Counted from the epoch, not by trainer.global_step: the two differ after a resume with another batch size, and
        # the learning rate has to stay with the phase.
        steps_per_epoch = self.steps_per_epoch(trainer)
        step = trainer.current_epoch * steps_per_epoch + batch_idx // trainer.accumulate_grad_batches
        return position(step, steps_per_epoch, self.recipe, trainer.max_steps)

    def steps_per_epoch(self, trainer: Trainer) -> int:
        """Return the optimizer steps of an epoch."""
        return math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)

    def _set_hyperparameters(self, optimizer: Optimizer, place: Position) -> dict[str, float]:
        phase = self.recipe.phases[place.phase]
        momentum = one_cycle_momentum(place.t, phase)
        lrs = {
            name: one_cycle_lr(place.t, peak, phase) for name, peak in phase.group_lrs(layer_names(optimizer)).items()
        }
        scalars: dict[str, float] = {}
        for group in optimizer.param_groups:
            name = group["name"].split("/")[0]
            group["lr"] = lrs[name]
            if "betas" in group:
                group["betas"] = (momentum, group["betas"][1])
            elif "momentum" in group:
                group["momentum"] = momentum
            scalars[f"lr/{name}"] = lrs[name]
        return scalars | {"momentum": momentum}

    def _check(self, trainer: Trainer) -> None:
        epochs = self.recipe.epochs
        # fast_dev_run sets its own limits: the recipe is then followed for these few steps.
        if trainer.max_epochs != epochs and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            raise UserError(
                f"trainer.max_epochs={trainer.max_epochs}, but the recipe has {epochs} epochs: "
                f"set max_epochs={epochs}, or change the recipe"
            )
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Timer) and callback.time_remaining() is not None:
                raise UserError("trainer.max_time: a cycle has to know its last step, set trainer.max_steps instead")
            if isinstance(callback, GradientAccumulationScheduler) and set(callback.scheduling) != {0}:
                raise UserError("accumulate_grad_batches must not change: a cycle has to know its last step")
            if isinstance(callback, EarlyStopping):
                rank_zero_warn("EarlyStopping may cut the cycle short: its best epochs are those at the end")

    def _check_optimizers(self, trainer: Trainer) -> None:
        if len(trainer.optimizers) != 1 or trainer.lr_scheduler_configs:
            raise UserError("OneCycle sets the learning rates: configure_optimizers must return one optimizer only")
        self.recipe.check_groups(layer_names(trainer.optimizers[0]))
