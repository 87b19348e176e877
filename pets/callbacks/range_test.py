"""The LR range test on a throw-away copy of the model, inside a fit."""

import copy
import itertools
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.utilities import GradClipAlgorithmType
from torch import Tensor
from torch.optim import Optimizer

from pets import console, private_api
from pets.callbacks.one_cycle import data_module_for, layer_names
from pets.data.batch import Batch
from pets.errors import UserError
from pets.schedule.lr_range import LRCurve, has_diverged, learning_rate, smooth
from pets.schedule.recipe import Phase


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
        peaks = phase.group_lrs(layer_names(self.optimizer))
        self.ratios = {name: peak / phase.head_lr for name, peak in peaks.items()}
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
