"""From a checked configuration to the objects of a run."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from lightning import Trainer, seed_everything
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from omegaconf import DictConfig, OmegaConf

from pets import machine
from pets.callbacks.checkpoint_io import AtomicCheckpointIO, SyncBeside
from pets.data.datamodule import ImageDataModule
from pets.errors import UserError
from pets.evaluation.evaluate import Options
from pets.model.classifier import Classifier
from pets.model.precision import Work, choose, work_of
from pets.runs import saved
from pets.runs.run_folder import RunFolder
from pets.schedule.recipe import Recipe
from pets.settings.declare import BY_TARGET

log = logging.getLogger("pets")


def locate_targets(cfg: DictConfig) -> None:
    """Import what a `_target_` names that pets.settings does not declare: a wrong one is refused before work begins.

    Raises:
        InstantiationException: Naming the key; nothing has been called.
    """
    raw: dict[str, Any] = OmegaConf.to_container(cfg)  # type: ignore[assignment]
    instantiate(_uncalled({name: node for name, node in raw.items() if name != "hydra"}))


def _uncalled(node: Mapping[str, Any]) -> dict[str, Any]:
    """Keep of nested groups and lists only the targets, each to be bound instead of called."""
    lists = {name: dict(enumerate(below)) for name, below in node.items() if isinstance(below, list)}
    found = {str(name): _uncalled(below) for name, below in {**node, **lists}.items() if isinstance(below, Mapping)}
    target = node.get("_target_")
    return found | ({} if target is None or target in BY_TARGET else {"_target_": target, "_partial_": True})


def data_module(cfg: DictConfig) -> ImageDataModule:
    """Return the data module of `cfg.data`, with its files in place, its labels read and its images split."""
    values: Any = OmegaConf.to_container(cfg.data, resolve=True)
    settings = OmegaConf.create({"data": {key: value for key, value in values.items() if key != "root"}})
    data: ImageDataModule = instantiate(settings.data, _convert_="all")  # below its key, which errors name
    data.prepare_data()
    data.setup()
    log.info(data.summary())
    return data


def classifier(cfg: DictConfig, classes: Iterable[str]) -> Classifier:
    """Return a new classifier; the seed decides the weights of its head.

    Raises:
        UserError: The architecture takes no images of a size that the configuration gives.
    """
    seed_everything(cfg.seed, verbose=False)
    model: Classifier = instantiate(cfg.model, classes=list(classes), _convert_="all")
    recipe: Recipe = instantiate(cfg.recipe, _convert_="all")
    model.backbone.check_size(cfg.augment.size, "augment.size")
    for index, phase in enumerate(recipe.phases):
        if phase.size is not None:
            model.backbone.check_size(phase.size, f"recipe.phases[{index}].size")
    return model


def epochs(cfg: DictConfig) -> int:
    """Return the epochs of the recipe."""
    total: int = instantiate(cfg.recipe, _convert_="all").epochs
    return total


def decide_precision(cfg: DictConfig, model: Classifier, training: bool = True) -> dict[str, float]:
    """Put into `cfg` what `trainer.precision=auto` stands for, see `pets.model.precision.choose`.

    A resumed fit has the precision that its run has decided on.

    Args:
        cfg: The configuration; with another precision nothing happens.
        model: The model that the task is about.
        training: Whether the task trains it, by the recipe.

    Returns:
        Seconds of a step by precision, if these decided; else nothing.
    """
    if cfg.trainer.precision != "auto":
        return {}
    if cfg.task == "fit" and cfg.ckpt_path and (decided := saved.decided_precision(Path(cfg.ckpt_path))):
        log.info("trainer.precision=auto: %s, as the run began", decided)
        cfg.trainer.precision = decided
        return {}
    phases = instantiate(cfg.recipe, _convert_="all").phases if training else ()
    work = work_of(phases, cfg.augment.size) or {Work(True, cfg.augment.size): 1}
    chosen, seconds = choose(
        model,
        work,
        batch_size=cfg.data.batch_size,
        accelerator=cfg.trainer.accelerator,
        alone=str(cfg.trainer.devices) in ("1", "auto") and cfg.trainer.num_nodes == 1,
    )
    cfg.trainer.precision = chosen
    return seconds


def trainer(cfg: DictConfig, resumed_step: int | None = None, **replacements: Any) -> Trainer:
    """Return the trainer, with the callbacks and loggers of `cfg`, for as many epochs as the recipe has.

    Args:
        cfg: The configuration.
        resumed_step: The optimizer step of the checkpoint that the run resumes at in its own folder; TensorBoard
            drops the points that an interrupted run had logged after it.
        replacements: Arguments of the Trainer that a task decides itself.
    """
    _check_processes(cfg.trainer)
    settings = {"max_epochs": epochs(cfg), "default_root_dir": cfg.run_dir}
    settings["precision"] = machine.resolve_precision(cfg.trainer.precision, cfg.trainer.accelerator)
    if "callbacks" not in replacements:
        finder = [instantiate(cfg.lr_finder, _convert_="all")] if cfg.lr_finder else []
        average = [instantiate(cfg.ema, _convert_="all")] if cfg.ema else []
        # The average is there before others look at the module; the finder starts from the head of HeadInit.
        settings["callbacks"] = [*average, *_members(cfg, "callbacks"), *finder]
    kept = (callback.dirpath for callback in settings.get("callbacks", ()) if isinstance(callback, ModelCheckpoint))
    files = AtomicCheckpointIO(RunFolder(cfg.run_dir).checkpoints, filter(None, kept))
    settings["plugins"] = [files, *_plugins(cfg)]
    settings["callbacks"] = [*settings.get("callbacks", ()), SyncBeside(files)]
    settings["logger"] = [_logger(node, resumed_step) for node in _nodes(cfg, "logger")]
    try:
        built: Trainer = instantiate(cfg.trainer, **(settings | replacements), _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, MisconfigurationException):  # Lightning's for what this machine lacks
            raise UserError(f"trainer: {error.__cause__}") from error
        raise
    return built


def _plugins(cfg: DictConfig) -> list[Any]:
    plugins = instantiate(cfg.trainer.get("plugins")) or []
    return list(plugins) if isinstance(plugins, Sequence) and not isinstance(plugins, str) else [plugins]


def _logger(node: DictConfig, resumed_step: int | None) -> Logger:
    board = issubclass(get_class(node._target_), TensorBoardLogger) and resumed_step is not None
    logger: Logger = instantiate(node, **({"purge_step": resumed_step} if board else {}))
    return logger


def evaluation(cfg: DictConfig) -> Options:
    """Return the options of an evaluation."""
    chosen = {key: cfg.evaluate[key] for key in ("cluster", "top_losses", "precision", "false_alarms", "embedding")}
    return Options(**chosen, tta_n=cfg.tta.n, tta_beta=cfg.tta.beta)


def _members(cfg: DictConfig, group: str) -> list[Any]:
    return [instantiate(node, _convert_="all") for node in _nodes(cfg, group)]


def _nodes(cfg: DictConfig, group: str) -> Iterator[DictConfig]:
    """Yield the members of a group; null removes a member."""
    for name, node in cfg[group].items():
        if isinstance(node, DictConfig) and "_target_" in node:
            yield node
        elif node is not None:
            raise UserError(f"{group}.{name}={node!r} is not allowed: null, or keys with a _target_")


def _check_processes(settings: DictConfig) -> None:
    """Refuse more processes on the CPU than cores: each is a process that waits for all the others at every step.

    Raises:
        ValueError: There are more.
    """
    processes = int(settings.devices) if str(settings.devices).isdecimal() else 1
    # Two are allowed on any machine, to try what several do.
    if machine.on_cpu(settings.accelerator) and processes > max(2, machine.available_cores()):
        raise UserError(
            f"trainer.devices={processes} is not allowed: on the CPU a process each, "
            f"and this machine has {machine.available_cores()} cores"
        )
