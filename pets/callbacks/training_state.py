"""What a resumed fit takes from a checkpoint: values of the expected types, and no path that the file names.

Lightning restores whatever stands there, into loops, optimizers and callbacks, and removes the files that a
ModelCheckpoint's state names. A checkpoint may come from anybody, so all of it passes through here first.
"""

import copy
import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import torch
from lightning import LightningModule, Trainer

from pets.callbacks.ema import EMA, TRAINED
from pets.callbacks.plain_values import (
    Rule,
    count,
    has,
    like,
    mapping,
    metric,
    number,
    only,
    plain,
    refuse,
    tensors,
    text,
)
from pets.errors import UserError
from pets.escape import printable
from pets.model.weights import first_line, misfits

LIGHTNING = re.compile(r"2\.([6-9]|[1-9]\d)\.[\w.+]{1,20}")
"""The versions whose checkpoints need no migration, which would read more than what is on the list."""
IGNORED = (
    "native_amp_scaling_state", "hparams_name", "hparams_type", "hyper_parameters", "datamodule_hparams_name",
    "datamodule_hparams_type", "datamodule_hyper_parameters",
)  # fmt: skip
"""What Lightning would read beside the parts below, and no fit of ours has saved."""
SCALER = ("scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker")
PATHS = ("best_model_path", "kth_best_model_path", "last_model_path")
"""Of a ModelCheckpoint's state; `best_k_models` holds more, and `dirpath` the folder."""


def training_state(content: Mapping[str, Any], folders: Sequence[str], in_place: bool) -> dict[str, Any]:
    """Return the parts of a checkpoint that may be restored; its files are those of this run, whatever it says.

    Parts of callbacks that are not known here may hold anything plain.

    Args:
        content: What was read from the file.
        folders: Where this run keeps its checkpoints; the first is the run's own.
        in_place: Whether the file lies in the first of them.

    Raises:
        ValueError: Naming the key that is missing, or has a value that no fit has saved.
    """
    if missing := [part for part in PARTS if part not in content]:
        raise UserError(f"{missing[0]} is missing, so no fit can resume from it")
    state = {key: value for key, value in content.items() if key not in IGNORED}
    for key, value in state.items():
        (PARTS | OPTIONAL_PARTS).get(key, plain)(value, text(key, "a key"))
    state["callbacks"] = {key: _callback(key, value, folders, in_place) for key, value in state["callbacks"].items()}
    if not state.get("MixedPrecision", True):
        del state["MixedPrecision"]  # of a run whose precision scales no loss
    return state


def check_fits(path: Path, trainer: Trainer, module: LightningModule, images: int) -> None:
    """Check that a fit of this trainer and module on so many images can resume from a checkpoint; none is touched.

    Raises:
        ValueError: Naming the file, the part and what is wrong with it, in one line.
    """
    state = trainer.strategy.load_checkpoint(path, weights_only=True)
    try:
        averages = any(isinstance(one, EMA) for one in trainer.callbacks)  # type: ignore[attr-defined]
        if averages != (TRAINED in state):
            raise UserError(f"a run that started with ema={'off' if averages else 'default'} is resumed with it")
        for part in ("state_dict", TRAINED) if averages else ("state_dict",):
            if problem := misfits(module, state[part]):
                raise UserError(f"the {part.replace('_', ' ')} does not fit the model: {printable(problem)}")
        like(state["smoothed_loss"], dict(module.smoothed_loss.named_buffers()), "smoothed_loss")  # type: ignore
        saved, own = state["loops"]["fit_loop"], trainer.fit_loop.state_dict()
        has(saved, ("epoch_progress", "epoch_loop.batch_progress"), "loops.fit_loop")
        for key in saved.keys() & own.keys():
            like(saved[key], own[key], f"loops.fit_loop.{key}")
        if "start" in state and state["start"]["images"] > images:
            refuse("start.images", state["start"]["images"], f"at most the {images:,} to train on")
        _try_optimizer(state["optimizer_states"][0], module)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error


def _try_optimizer(saved: dict[str, Any], module: LightningModule) -> None:
    """Take a step with the saved state on copies of the parameters, whose gradients are 0."""
    twin: Any = copy.deepcopy(module).cpu()
    try:
        with torch.random.fork_rng(devices=[]):
            optimizer = twin.configure_optimizers()
            names = [group["name"] for group in optimizer.param_groups]
            if [group.get("name") for group in saved["param_groups"]] != names:
                raise UserError(f"the groups are not {', '.join(names)}")
            optimizer.load_state_dict(copy.deepcopy(saved))
            for parameter in twin.parameters():
                parameter.grad = torch.zeros_like(parameter)
            optimizer.step(lambda: torch.zeros(()))
    except Exception as error:  # torch checks little of a state, and fails anywhere
        raise UserError(f"optimizer_states: cannot be resumed: {printable(first_line(error))}") from error


def _callback(name: str, state: dict[str, Any], folders: Sequence[str], in_place: bool) -> dict[str, Any]:
    where = f"callbacks.{text(name, 'callbacks')}"
    if name.startswith("ModelCheckpoint") or PATHS[0] in state:
        return _with_files_of_this_run(state, where, folders, in_place)
    {"OneCycle": _one_cycle, "History": _history}.get(name, plain)(state, where)
    return state


def _with_files_of_this_run(
    state: dict[str, Any], where: str, folders: Sequence[str], in_place: bool
) -> dict[str, Any]:
    """Return a ModelCheckpoint's state with the files of the same names in this run's folder, as far as they exist."""
    has(state, (PATHS[0], "best_model_score"), where)
    models, said = state.get("best_k_models", {}), state.get("dirpath") or ""
    mapping(models, f"{where}.best_k_models")
    for path, value in models.items():
        metric(value, f"{where}.best_k_models.{text(path, where)}")
    for key in (*PATHS, "dirpath"):
        text(state.get(key) or "", f"{where}.{key}")
    rest = {key: value for key, value in state.items() if key not in (*PATHS, "dirpath", "best_k_models")}
    for key, value in rest.items():
        known = key in ("best_model_score", "current_score", "kth_value")
        (metric if known else plain)(value, f"{where}.{text(key, where)}")
    folder = said if said in folders else folders[0] if in_place else None

    def here(path: str | None) -> str:
        own = os.path.join(folder, PurePath(path).name) if folder and path else ""
        return own if own.endswith(".ckpt") and os.path.lexists(own) and stat.S_ISREG(os.lstat(own).st_mode) else ""

    rest |= {key: here(state[key]) for key in PATHS if key in state}
    rest["best_k_models"] = {here(path): value for path, value in models.items() if here(path)}
    rest["dirpath"] = folder or printable(said)  # where it is another, Lightning says that it has changed
    return rest


def _start(value: Any, where: str) -> None:
    only(value, ("epoch", "images"), where)
    for key, member in value.items():
        count(member, f"{where}.{key}")


def _scaler(value: Any, where: str) -> None:
    only(value, SCALER if value else (), where)
    for key, member in value.items():
        number(member, f"{where}.{key}")


def _loops(value: Any, where: str) -> None:
    has(value, ("fit_loop",), where)
    mapping(value["fit_loop"], f"{where}.fit_loop")
    plain(value, where)


def _callbacks(value: Any, where: str) -> None:
    mapping(value, where)
    for name, state in value.items():
        mapping(state, f"{where}.{text(name, where)}")


def _optimizers(value: Any, where: str) -> None:
    if not isinstance(value, list) or len(value) != 1:
        refuse(where, value, "a list of one")
    only(value[0], ("state", "param_groups"), where)
    plain(value, where)


def _no_schedulers(value: Any, where: str) -> None:
    if not isinstance(value, list) or value:
        refuse(where, value, "an empty list: the recipe schedules")


def _version(value: Any, where: str) -> None:
    text(value, where)
    if not LIGHTNING.fullmatch(value):
        refuse(where, value, "2.6 or later")


def _one_cycle(value: Any, where: str) -> None:
    only(value, ("base_lr",), where)
    if value["base_lr"] is not None:
        number(value["base_lr"], f"{where}.base_lr")


def _history(value: Any, where: str) -> None:
    only(value, ("rows",), where)
    if not isinstance(value["rows"], list):
        refuse(f"{where}.rows", value["rows"], "a list")
    for place, row in enumerate(value["rows"]):
        at = f"{where}.rows.{place}"
        has(row, ("epoch", "phase", "train_loss", "valid_loss", "error_rate", "seconds"), at)
        text(row["phase"], f"{at}.phase")
        count(row["epoch"], f"{at}.epoch")
        number(row["seconds"], f"{at}.seconds")
        for column in row.keys() - {"phase"}:
            metric(row[column], f"{at}.{text(column, at)}")


PARTS: dict[str, Rule] = {
    "epoch": count,
    "global_step": count,
    "pytorch-lightning_version": _version,
    "state_dict": tensors,
    "pets": mapping,
    "ImageDataModule": mapping,
    "loops": _loops,
    "callbacks": _callbacks,
    "optimizer_states": _optimizers,
    "lr_schedulers": _no_schedulers,
    "smoothed_loss": tensors,
}
"""What every checkpoint of a fit has."""
OPTIONAL_PARTS: dict[str, Rule] = {"start": _start, "MixedPrecision": _scaler, TRAINED: tensors}
