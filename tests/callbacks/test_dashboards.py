"""What stands in the HPARAMS table, and in which order."""

from pathlib import Path

from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from pets.callbacks.dashboards import LAYOUT, hyperparameters, log_card

CONFIG = {
    "task": "fit",
    "seed": 0,
    "data": {
        "_target_": "x",
        "root": "/photos",
        "batch_size": 16,
        "seed": 0,
        "batch_transform": {"size": 9},
        "classes": None,
    },
    "model": {"arch": "resnet18", "loss": {"kind": "x"}, "head": {"kind": "linear"}},
    "recipe": {"base_lr": 0.002, "phases": [1, 2], "epochs": 2},
    "callbacks": {"progress": {"bar": "auto"}},
}


def test_hyperparameters_are_what_can_differ_and_nothing_twice() -> None:
    assert hyperparameters(CONFIG) == {
        "seed": 0,
        "data.batch_size": 16,
        "model.arch": "resnet18",
        "model.head.kind": "linear",
        "recipe.base_lr": 0.002,
        "recipe.epochs": 2,
    }


def test_what_was_typed_is_marked_to_be_shown_first(tmp_path: Path) -> None:
    logger = TensorBoardLogger(tmp_path, name="", version="")
    log_card([logger], CONFIG, {"seed": "0"}, ["model.head.kind=linear", "+data.batch_size=16"])
    logger.finalize("success")
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    content = HParamsPluginData.FromString(events.SummaryMetadata("_hparams_/experiment").plugin_data.content)
    first = {info.name for info in content.experiment.hparam_infos if info.differs}
    assert first == {"model.head.kind", "data.batch_size", "model.arch", "recipe.base_lr", "seed"}


def test_the_layout_names_tags_that_exist() -> None:
    tags = {tag for charts in LAYOUT.values() for _, names in charts.values() for tag in names}
    assert {"train/loss", "valid/loss", "lr/head"} <= tags
