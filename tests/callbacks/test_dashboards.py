"""What stands in the HPARAMS table, and in which order."""

from pets.callbacks.dashboards import LAYOUT, hyperparameters

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


def test_what_was_typed_comes_first_and_nothing_twice() -> None:
    params = hyperparameters(CONFIG, ["model.head.kind", "seed"])
    assert list(params) == [
        "model.head.kind", "seed", "model.arch", "recipe.base_lr", "recipe.epochs", "data.batch_size"
    ]  # fmt: skip


def test_the_layout_names_tags_that_exist() -> None:
    tags = {tag for charts in LAYOUT.values() for _, names in charts.values() for tag in names}
    assert {"train/loss", "valid/loss", "lr/head"} <= tags
