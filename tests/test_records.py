"""What a run writes down: its configuration without secrets, its split, its metrics."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from omegaconf import DictConfig

from pets import build, records
from pets.errors import UserError

Compose = Callable[..., DictConfig]


def test_a_resumed_run_keeps_its_split(tiny_config: Compose) -> None:
    cfg = tiny_config()
    data = build.data_module(cfg)
    records.start(cfg, data)
    cfg.ckpt_path = f"{cfg.run_dir}/checkpoints/last.ckpt"
    records.start(cfg, data)
    other = build.data_module(tiny_config("data.split.seed=1"))
    before = (Path(cfg.run_dir) / "splits.json").read_bytes()
    with pytest.raises(UserError, match=r"come to or left the part 'train' .*data.split.from=.*splits.json"):
        records.start(cfg, other)
    assert (Path(cfg.run_dir) / "splits.json").read_bytes() == before
    assert json.loads(before)["parts"]["valid"]


def test_a_table_of_the_csv_logger_outlives_the_resume(tiny_config: Compose) -> None:
    cfg = tiny_config("logger=csv")
    data = build.data_module(cfg)
    for text in ("first", "second"):
        records.start(cfg, data)
        (Path(cfg.run_dir) / "metrics.csv").write_text(text)
    records.start(cfg, data)
    assert [(Path(cfg.run_dir) / f"metrics_{n}.csv").read_text() for n in (1, 2)] == ["first", "second"]


def test_a_run_started_again_before_its_first_checkpoint_has_one_attempts_curves(tiny_config: Compose) -> None:
    cfg = tiny_config()
    data = build.data_module(cfg)
    left = Path(cfg.run_dir) / "events.out.tfevents.1.killed"
    left.touch()
    records.start(cfg, data)
    assert not left.exists()


def test_a_value_of_the_environment_stays_the_name_of_its_variable(
    tiny_config: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")
    cfg = tiny_config("export.licence='${oc.env:TOKEN}'", "+logger.mine.key='${export.licence}'")
    records.write_config(cfg)
    text = (Path(cfg.run_dir) / "config.yaml").read_text()
    assert "hunter2" not in text
    assert yaml.safe_load(text)["export"]["licence"] == "${oc.env:TOKEN}"
    assert cfg.export.licence == "hunter2"
