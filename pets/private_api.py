"""What Hydra, Lightning, torch and torchvision offer below an underscore only; tests/test_private_api.py calls each.

An upper bound in pyproject.toml keeps out the next minor release of Lightning until these tests pass with it.
"""

from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning import LightningModule, Trainer
    from torch.utils.tensorboard import FileWriter, SummaryWriter


def uses_distributed_sampler(trainer: "Trainer") -> bool:
    """Whether a Trainer of several processes replaces the sampler of each loader.

    Trainer has the argument and no attribute: `trainer.use_distributed_sampler` would replace this.
    """
    return trainer._accelerator_connector.use_distributed_sampler


def new_training_loader(trainer: "Trainer") -> Any:
    """Return the loader, or loaders, that a running fit was given or would ask its module or data module for.

    `trainer.train_dataloader` is public, but stays None until the fit has set it up, workers started and random numbers
    drawn; asking it for the loader earlier would replace this.
    """
    return trainer.fit_loop._data_source.dataloader()


def before_batch_transfer(module: "LightningModule", batch: Any) -> Any:
    """Return what the hook `on_before_batch_transfer` makes of a batch: the data module's, or else the module's.

    `trainer.strategy.batch_to_device` is public and calls the two hooks that follow; one that calls all three would
    replace this.
    """
    return module._on_before_batch_transfer(batch)


def tensorboard_file_writer(writer: "SummaryWriter") -> "FileWriter":
    """Return what writes whole summaries, opened if need be.

    `add_hparams` is public and makes a second event file of its own; one that takes a summary would replace this.
    """
    opened: FileWriter = writer._get_file_writer()  # type: ignore[no-untyped-call]
    return opened


def oxford_pets_archives() -> tuple[tuple[str, str], ...]:
    """Return (URL, MD5) of each archive of Oxford-IIIT Pet: photographs, then annotations.

    `OxfordIIITPet` only fetches all of them itself, without resuming; a public list would replace this.
    """
    from torchvision.datasets import OxfordIIITPet

    archives: tuple[tuple[str, str], ...] = OxfordIIITPet._RESOURCES
    return archives


def hydra_flags(arguments: Sequence[str]) -> Namespace:
    """Return what `hydra.main` reads from a command line: its flags, and the overrides.

    A public way to Hydra's argument parser would replace this.
    """
    from hydra._internal.utils import get_args_parser

    return get_args_parser().parse_intermixed_args(list(arguments))
