"""What stands in the HPARAMS table, and in which order."""

from pathlib import Path

from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from pets.callbacks.dashboards import RunCard, card_text, hyperparameters, typed_hyperparameters

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


def columns(folder: Path, *overrides: str) -> list[tuple[str, bool]]:
    """Return name and `differs` of each hyperparameter that TensorBoard's table can show, in its order."""
    logger = TensorBoardLogger(folder, name="", version="")
    card = RunCard(CONFIG, {"command": "train.py", "seed": "0"}, overrides, {"model": "resnet18", "data": "pets"})
    card.write([logger], base_lr=0.004)
    logger.finalize("success")
    content = HParamsPluginData.FromString(read(folder).SummaryMetadata("_hparams_/experiment").plugin_data.content)
    return [(info.name, info.differs) for info in content.experiment.hparam_infos]


def read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def test_hyperparameters_are_what_can_differ_and_nothing_twice() -> None:
    assert hyperparameters(CONFIG) == {
        "seed": "0",
        "data.batch_size": 16,
        "model.arch": "resnet18",
        "model.head.kind": "linear",
        "recipe.base_lr": 0.002,
        "recipe.epochs": 2,
    }


def test_typed_hyperparameters_are_chosen_files_and_parts_of_lists_too() -> None:
    typed = ["experiment=demo", "augment=strong", "recipe.phases.0.lr=1e-3", "data.root=/photos", "~loss"]
    assert typed_hyperparameters(typed) == {"augment": "strong", "recipe.phases.0.lr": 0.001}


def test_the_table_has_the_common_columns_and_shows_five(tmp_path: Path) -> None:
    names, differs = zip(*columns(tmp_path), strict=True)
    assert names == ("model", "recipe.base_lr", "model.arch", "seed", "data.batch_size", "recipe.epochs")
    assert differs == (True, True, True, True, True, False)


def test_what_was_typed_is_shown_first(tmp_path: Path) -> None:
    typed = (
        "model.head.kind=linear",
        "+data.batch_size=16",
        "augment=strong",
        "recipe.phases.0.lr=1e-3",
        "data.num_workers=0",
    )
    found = dict(columns(tmp_path, *typed))
    assert [name for name, differs in found.items() if differs] == [
        "model.head.kind",
        "data.batch_size",
        "augment",
        "recipe.phases.0.lr",
        "model",
    ]
    assert found["model.arch"] is False


def test_the_card_is_the_command_and_a_table_that_gives_its_names_room() -> None:
    card = card_text({"command": "train.py", "seed": "0", "data": "9 images"}, ["experiment=demo", "seed=0"])
    command, table = card.split("\n\n")
    assert command.split() == ["python", "train.py", "experiment=demo", "seed=0"]
    assert [line.replace("&nbsp;", "") for line in table.splitlines()] == [
        "| seed | 0 |",
        "|---|---|",
        "| data | 9 images |",
    ]


def test_the_session_has_the_learning_rate_of_the_run(tmp_path: Path) -> None:
    columns(tmp_path)
    content = HParamsPluginData.FromString(
        read(tmp_path).SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    )
    assert content.session_start_info.hparams["recipe.base_lr"].number_value == 0.004
