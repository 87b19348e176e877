"""A fit leaves one complete run folder: plain checkpoints, the table of epochs, metrics, one TensorBoard run."""

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from pets.callbacks.dashboards import LAYOUT
from pets.runs import overrides
from pets.tasks import fit

Compose = Callable[..., DictConfig]


@pytest.fixture(scope="module")
def run(tiny_config: Compose) -> tuple[Path, float]:
    cfg = tiny_config("trainer.log_every_n_steps=1")
    return Path(cfg.run_dir), fit.run(cfg)


@pytest.fixture(scope="module")
def events(run: tuple[Path, float]) -> EventAccumulator:
    accumulator = EventAccumulator(str(run[0]))
    accumulator.Reload()
    return accumulator


def test_the_run_folder_is_complete(run: tuple[Path, float]) -> None:
    folder, metric = run
    assert {path.name for path in folder.iterdir()} >= {
        "checkpoints", "config.yaml", "history.csv", "hparams.yaml", "metrics.json", "show_batch.png", "splits.json"
    }  # fmt: skip
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["valid/error_rate"] == pytest.approx(metric)
    assert metrics["n"] == {"train": 20, "valid": 4, "test": 0}
    assert len((folder / "history.csv").read_text().splitlines()) == 3


def test_checkpoints_hold_plain_values(run: tuple[Path, float]) -> None:
    checkpoint = torch.load(run[0] / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["pets"]["classes"] == ["Birman", "great_pyrenees", "pug"]
    assert checkpoint["ImageDataModule"]["presize"] == {"size": 40, "method": "crop", "interpolation": "bicubic"}


def test_tensorboard_has_one_run_with_every_curve(events: EventAccumulator, run: tuple[Path, float]) -> None:
    scalars = set(events.Tags()["scalars"])
    assert scalars >= {
        "train/loss", "train/loss_epoch", "valid/loss", "valid/error_rate", "valid/accuracy", "valid/accuracy_macro",
        "lr/early", "lr/late", "lr/head", "momentum", "speed/images_per_second",
    }  # fmt: skip
    assert "hp_metric" not in scalars
    assert len(list(run[0].rglob("events.out.tfevents.*"))) == 1
    assert "view/first_batch" in events.Tags()["images"]
    assert set(events.Tags()["tensors"]) >= {"run/1_card/text_summary", "run/2_config/text_summary"}


def test_tensorboard_has_one_hparams_session_whose_metrics_are_curves(events: EventAccumulator) -> None:
    contents = events.SummaryMetadata("_hparams_/experiment").plugin_data.content
    experiment = HParamsPluginData.FromString(contents).experiment
    named = {metric.name.tag for metric in experiment.metric_infos}
    assert "valid/error_rate" in named
    assert named <= set(events.Tags()["scalars"])
    assert {"recipe.base_lr", "seed", "data.batch_size", "model.arch"} <= {
        info.name for info in experiment.hparam_infos
    }


def test_each_line_of_the_chart_page_is_one_curve_and_the_rates_share_one(events: EventAccumulator) -> None:
    patterns = [pattern for charts in LAYOUT.values() for _, patterns in charts.values() for pattern in patterns]
    found = {pattern: [tag for tag in events.Tags()["scalars"] if re.match(pattern, tag)] for pattern in patterns}
    assert found.pop("lr/.+$") == ["lr/early", "lr/late", "lr/head"]
    assert found == {pattern: [pattern.removesuffix("$")] for pattern in found}


def test_the_same_configuration_gives_the_same_bits(tiny_config: Compose, tmp_path: Path) -> None:
    weights, options = [], ("recipe.freeze_epochs=0", "evaluate.at_end=false")
    for name, workers in (("a", 0), ("b", 2)):
        fit.run(tiny_config(f"run_dir={tmp_path / name}", f"data.num_workers={workers}", *options))
        weights.append(torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"])
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_third_part_is_tested(tiny_config: Compose) -> None:
    cfg = tiny_config("data.split.test_pct=0.2", "optimized_metric=test/error_rate")
    metric = fit.run(cfg)
    assert json.loads((Path(cfg.run_dir) / "metrics.json").read_text())["test/error_rate"] == metric


def test_a_metric_of_a_part_that_is_not_there_is_named_before_training(tiny_config: Compose) -> None:
    cfg = tiny_config("optimized_metric=test/loss")
    with pytest.raises(ValueError, match=r"optimized_metric=test/loss: there is no test part"):
        fit.run(cfg)
    assert not (Path(cfg.run_dir) / "checkpoints").exists()


@pytest.mark.parametrize("at_end", [True, False])
def test_a_run_ends_by_saying_where_it_lies_and_what_to_type_next(
    tiny_config: Compose, caplog: pytest.LogCaptureFixture, at_end: bool
) -> None:
    cfg = tiny_config(f"evaluate.at_end={at_end}")
    with caplog.at_level("INFO"):
        fit.run(cfg)
    assert caplog.records[-1].message.splitlines() == [
        f"run folder: {cfg.run_dir}",
        f"  tensorboard --logdir {cfg.run_dir}",
        f"  python train.py task=evaluate ckpt_path={cfg.run_dir}",
        f"  python train.py task=predict ckpt_path={cfg.run_dir} source=FILE",
    ]


def test_the_last_run_below_outputs_is_called_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = fit.what_next(tmp_path / "outputs" / "today" / "fit")
    assert "task=evaluate ckpt_path=last\n" in said
    assert "--logdir outputs/today/fit\n" in said
    assert max(map(len, said.splitlines())) <= 60


def test_what_to_type_next_is_quoted_for_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run, logs, evaluate, predict = fit.what_next(tmp_path / "my runs" / "first").splitlines()
    assert run == "run folder: my runs/first"
    assert shlex.split(logs)[-1] == "my runs/first"
    assert shlex.split(evaluate)[-1] == shlex.split(predict)[-2] == "ckpt_path=my runs/first"


def test_a_class_without_validation_images_is_a_warning_before_training(
    tiny_config: Compose, tiny_pets: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = Path(shutil.copytree(tiny_pets, tmp_path / "photos"))
    for file in root.glob("pug_[2-7].jpg"):
        file.unlink()
    fit.run(tiny_config(f"data.root={root}", "evaluate.at_end=false"))
    said = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert any("with few images: 'pug: 2'; with none in valid: 'pug';" in line for line in said)


def test_what_a_sweep_varies_comes_before_what_all_its_runs_were_told() -> None:
    typed = ["data=folder", "model=resnet18", "+seed=0", "recipe.epochs=2"]
    assert overrides.varied_first(typed, {"seed", "recipe.epochs"}) == ["+seed=0", "recipe.epochs=2", *typed[:2]]
    assert overrides.varied_first(typed, ()) == typed


@pytest.mark.parametrize("value", ["resnet18,resnet34", "range(1,4)", "choice(1,2)", "0.1,0.2"])
def test_a_value_of_a_sweep_is_told_from_a_list(value: str) -> None:
    assert overrides.SWEPT.search(value)
    assert not overrides.SWEPT.search("[1,2]")
    assert not overrides.SWEPT.search("[{epochs:1,frozen:true}]")
    assert not overrides.SWEPT.search("resnet18")
