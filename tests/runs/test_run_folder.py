"""A run folder belongs to one run, which goes on with the images it began with."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from pets import build
from pets.runs import run_folder

Compose = Callable[..., DictConfig]


def test_a_folder_that_holds_a_run_is_not_overwritten(tiny_config: Compose) -> None:
    cfg = tiny_config()
    with run_folder.claimed(cfg):
        (Path(cfg.run_dir) / "checkpoints").mkdir()
        (Path(cfg.run_dir) / "checkpoints" / "last.ckpt").touch()
    with (
        pytest.raises(ValueError, match=r"run_dir=.* holds a run: ckpt_path=.* goes on with it"),
        run_folder.claimed(cfg),
    ):
        pass
    cfg.ckpt_path = f"{cfg.run_dir}/checkpoints/last.ckpt"
    with run_folder.claimed(cfg):
        pass


def test_two_processes_do_not_train_in_one_folder(tiny_config: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = tiny_config()
    monkeypatch.setattr(run_folder, "LOCK_SECONDS", 0.1)
    refused = pytest.raises(ValueError, match="another process is training in it")
    with run_folder.claimed(cfg), refused, run_folder.claimed(cfg):
        pass


def test_two_runs_of_one_second_have_folders_of_their_own() -> None:
    conf = (Path(__file__).parents[1] / "conf" / "config.yaml").read_text()
    assert conf.count("%H-%M-%S-%f") == 2  # of a run and of a sweep


def test_a_resumed_run_keeps_its_split(tiny_config: Compose) -> None:
    cfg = tiny_config()
    data = build.data_module(cfg)
    run_folder.start(cfg, data)
    cfg.ckpt_path = f"{cfg.run_dir}/checkpoints/last.ckpt"
    run_folder.start(cfg, data)
    other = build.data_module(tiny_config("data.split.seed=1"))
    before = (Path(cfg.run_dir) / "splits.json").read_bytes()
    with pytest.raises(ValueError, match=r"come to or left the part 'train' .*data.split.from=.*splits.json"):
        run_folder.start(cfg, other)
    assert (Path(cfg.run_dir) / "splits.json").read_bytes() == before
    assert json.loads(before)["parts"]["valid"]


def test_a_table_of_the_csv_logger_outlives_the_resume(tiny_config: Compose) -> None:
    cfg = tiny_config("logger=csv")
    data = build.data_module(cfg)
    for text in ("first", "second"):
        run_folder.start(cfg, data)
        (Path(cfg.run_dir) / "metrics.csv").write_text(text)
    run_folder.start(cfg, data)
    assert [(Path(cfg.run_dir) / f"metrics_{n}.csv").read_text() for n in (1, 2)] == ["first", "second"]
