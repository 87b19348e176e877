"""From a checked configuration to the objects of a run."""

import logging
from collections.abc import Iterable
from typing import Any

from hydra.utils import instantiate
from lightning import Trainer, seed_everything
from omegaconf import DictConfig, OmegaConf

from pets.data.datamodule import PetsDataModule
from pets.model.classifier import Classifier

log = logging.getLogger("pets")


def data_module(cfg: DictConfig) -> PetsDataModule:
    """Return the data module of `cfg.data`, with its files in place, its labels read and its parts drawn."""
    settings = OmegaConf.masked_copy(cfg.data, [key for key in cfg.data if key != "root"])
    settings._set_parent(cfg)
    data: PetsDataModule = instantiate(settings)
    data.prepare_data()
    data.setup()
    log.info(data.summary())
    return data


def classifier(cfg: DictConfig, classes: Iterable[str]) -> Classifier:
    """Return a new classifier; the seed decides the weights of its head."""
    seed_everything(cfg.seed, verbose=False)
    model: Classifier = instantiate(cfg.model, classes=list(classes))
    return model


def trainer(cfg: DictConfig, **replacements: Any) -> Trainer:
    """Return the trainer, with the callbacks and loggers of `cfg`, for as many epochs as the recipe has.

    Args:
        cfg: The configuration.
        replacements: Arguments of the Trainer that a task decides itself.
    """
    settings = {"max_epochs": instantiate(cfg.recipe).epochs, "default_root_dir": cfg.run_dir}
    if "callbacks" not in replacements:
        finder = [instantiate(cfg.lr_finder)] if cfg.lr_finder else []
        settings["callbacks"] = [*finder, *_members(cfg.callbacks)]
    built: Trainer = instantiate(cfg.trainer, logger=_members(cfg.logger), **(settings | replacements), _convert_="all")
    return built


def _members(group: DictConfig) -> list[Any]:
    """Instantiate the members of a group; null removes a member."""
    return [instantiate(node) for node in group.values() if node is not None]
