"""Each call below an underscore of Lightning and torchvision does what it is used for; no other module has one.

These tests justify the upper bound of lightning in pyproject.toml: raise it when they pass with the next release.
"""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.demos.boring_classes import BoringModel, RandomDataset
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter

from pets import private_api

pytestmark = pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`")

PACKAGE = Path(private_api.__file__).parent
QUIET: dict[str, Any] = {
    "accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False,
    "enable_model_summary": False, "max_steps": 1, "limit_val_batches": 0,
}  # fmt: skip


def fit(hook: Callback, **fit_with: Any) -> None:
    """Fit a model for a step with a callback."""
    Trainer(**QUIET, callbacks=[hook]).fit(BoringModel(), **fit_with)


class Ask(Callback):
    """Keeps what a function of the trainer returns at the start of a fit."""

    def __init__(self, question: Any) -> None:
        self.question = question

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.answer = self.question(trainer)


@pytest.mark.parametrize("wanted", [True, False])
def test_whether_a_trainer_divides_the_shares(wanted: bool) -> None:
    assert private_api.uses_distributed_sampler(Trainer(**QUIET, use_distributed_sampler=wanted)) is wanted


def test_the_loader_that_a_fit_was_given() -> None:
    loader = DataLoader(RandomDataset(32, 4))
    ask = Ask(private_api.new_training_loader)
    fit(ask, train_dataloaders=loader)
    assert ask.answer is loader


def test_a_new_loader_of_the_data_module_each_time() -> None:
    class Data(LightningDataModule):
        def train_dataloader(self) -> DataLoader[Any]:
            return DataLoader(RandomDataset(32, 4))

    ask = Ask(lambda trainer: [private_api.new_training_loader(trainer) for _ in range(2)])
    fit(ask, datamodule=Data())
    assert all(isinstance(loader, DataLoader) for loader in ask.answer)
    assert ask.answer[0] is not ask.answer[1]


def test_the_hook_of_the_data_module_sees_a_batch_before_its_transfer() -> None:
    class Data(LightningDataModule):
        def train_dataloader(self) -> DataLoader[Any]:
            return DataLoader(RandomDataset(32, 4))

        def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
            return batch + 1

    ask = Ask(lambda trainer: private_api.before_batch_transfer(trainer.lightning_module, torch.zeros(2)))
    fit(ask, datamodule=Data())
    assert ask.answer.tolist() == [1, 1]


def test_the_archives_of_oxford_pets_have_addresses_and_checksums() -> None:
    archives = private_api.oxford_pets_archives()
    assert [url.rsplit("/", 1)[-1] for url, _ in archives] == ["images.tar.gz", "annotations.tar.gz"]
    assert all(re.fullmatch(r"[0-9a-f]{32}", md5) for _, md5 in archives)


def test_the_summaries_of_a_tensorboard_writer_are_written(tmp_path: Path) -> None:
    writer = SummaryWriter(str(tmp_path))
    private_api.tensorboard_file_writer(writer).add_summary(Summary(value=[Summary.Value(tag="a", simple_value=1)]))
    writer.close()
    (file,) = tmp_path.iterdir()
    assert [value.tag for event in EventFileLoader(str(file)).Load() for value in event.summary.value] == ["a"]


NAMEDTUPLE = {"_asdict", "_fields", "_replace"}
HYDRA_KEYS = {"_target_"}
DOCUMENTED = {"_exit"}


def foreign_private_names(path: Path) -> list[str]:
    """Return the names with an underscore that a module reaches in others: attributes and imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    own = {node.attr for node in attributes if isinstance(node.ctx, ast.Store)}
    own |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    found = [node.attr for node in attributes if node.attr not in own | NAMEDTUPLE | HYDRA_KEYS | DOCUMENTED]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found += [*str(node.module).split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            found += [part for alias in node.names for part in alias.name.split(".")]
    return [name for name in found if name.startswith("_") and not name.startswith("__")]


def test_no_other_module_reaches_below_an_underscore_of_another() -> None:
    # stop.py replaces parts of Lightning, which takes classes; each says why.
    allowed = {"private_api.py", "stop.py"}
    modules = [path for path in PACKAGE.rglob("*.py") if path.name not in allowed]
    assert {str(path): names for path in modules if (names := foreign_private_names(path))} == {}


def test_the_flags_and_the_overrides_of_a_command_line() -> None:
    flags = private_api.hydra_flags(["-m", "seed=1", "--config-dir", "own", "model=timm"])
    assert (flags.multirun, flags.config_dir, flags.overrides) == (True, "own", ["seed=1", "model=timm"])
