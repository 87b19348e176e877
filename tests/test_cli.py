"""The command line as a person meets it: quick answers, one line for an error, no traceback, an exit code."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from pets import cli

ROOT = Path(__file__).parents[1]


def train(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python train.py ...` from another folder."""
    return subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *arguments],
        cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


WITHOUT_TORCH = """
import runpy, sys
sys.argv = ["train.py", *sys.argv[1:]]
try:
    runpy.run_path({path!r}, run_name="__main__")
finally:
    assert not {{"torch", "lightning", "torchvision"}} & set(sys.modules), "imported torch"
"""


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--cfg", "job"], ["recipe.epoch=3"], ["seed=-1"], ["data.labeller.pattern=("]],
    ids=" ".join,
)
def test_answers_without_torch(arguments: list[str], tmp_path: Path) -> None:
    code = WITHOUT_TORCH.format(path=str(ROOT / "train.py"))
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "imported torch" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["recipe.epochs=-1"], "error: recipe.epochs=-1 is not allowed: a whole number, at least 0"),
        (["task=train"], "error: task='train' is not allowed: fit, "),
        (["data=folder"], "error: data.root is required: add data.root=VALUE to the command"),
        (["data.split.valid_pct=2"], "error: data.split.valid_pct=2 is not allowed: "),
        (["data=regex", "data.root=nowhere"], "error: data.root=nowhere does not exist"),
        (
            ["recipe=one_cycle", "recipe.phases.1.lr=[1,2,3,4]"],
            "error: recipe.phases[1].lr=[1.0, 2.0, 3.0, 4.0] is not ",
        ),
        (["--cfg", "job", "recipe.epoch=3"], "error: no key recipe.epoch; did you mean recipe.epochs?"),
        (["-m", "recipe.base_lr=0.001,abc"], "error: recipe.base_lr='abc' is not allowed: a number above 0"),
        (["-m", "model=resnet18,resnet43"], "error: model=resnet43 is not allowed; did you mean resnet34?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_error_is_one_line_and_an_exit_code(arguments: list[str], says: str, tmp_path: Path) -> None:
    done = train(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_misspelt_key_is_named(tmp_path: Path) -> None:
    done = train("recipe.epoch=3", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: no key recipe.epoch; did you mean recipe.epochs?\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["task=evaluate"],
        ["task=predict", "source=photo.jpg"],
        ["task=export"],
        ["ckpt_path=gone.ckpt"],
        ["model.arch=resnet999"],
        ["data=folder", "data.root=gone"],
        ["data.split.from=gone.json"],
        ["experiment=gone"],
        ["-m", "recipe.epoch=1,2"],
    ],
    ids=" ".join,
)
def test_a_refused_command_is_one_line_and_leaves_no_folder(arguments: list[str], tmp_path: Path) -> None:
    done = train(*arguments, cwd=tmp_path)
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (2, 1), done.stderr
    assert done.stderr.startswith("error: ")
    assert list(tmp_path.iterdir()) == []


def test_what_the_data_refuse_leaves_no_run_folder_either(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    done = train("data=folder", "data.root=photos", "hydra.run.dir=run", cwd=tmp_path)
    assert done.returncode == 2
    assert "data.root=photos holds no image" in done.stderr
    assert not (tmp_path / "run").exists()


def test_what_the_data_refuse_leaves_no_folder_of_its_day(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    assert train("data=folder", "data.root=photos", cwd=tmp_path).returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_a_secret_of_the_environment_is_not_in_a_message(tmp_path: Path) -> None:
    done = train("recipe.base_lr='${oc.env:TOKEN}'", cwd=tmp_path, TOKEN="hunter2")
    assert done.returncode == 2
    assert "hunter2" not in done.stderr + done.stdout
    assert "recipe.base_lr='${oc.env:TOKEN}' is not allowed: a number above 0" in done.stderr


def test_the_traceback_is_one_variable_away(tmp_path: Path) -> None:
    assert "Traceback" in train("seed=-1", cwd=tmp_path, HYDRA_FULL_ERROR="1").stderr


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, tiny_config: Callable[..., DictConfig]) -> None:
    hydra: dict[str, Any] = {"mode": None, "overrides": {"task": []}, "runtime": {"cwd": str(Path.cwd())}}
    monkeypatch.setattr(HydraConfig.instance(), "cfg", OmegaConf.create({"hydra": hydra}))
    monkeypatch.setattr("pets.tasks.inspect.run", lambda cfg: np.zeros(2) + np.zeros(3))
    with pytest.raises(ValueError, match="operands could not be broadcast"):
        cli.run(tiny_config("task=inspect"))


def test_help_shows_what_can_be_typed(tmp_path: Path) -> None:
    shown = train("--help", cwd=tmp_path).stdout
    for words in ("python train.py experiment=demo", "fine_tune", "tensorboard --logdir outputs", "data.root=data"):
        assert words in shown
    assert "[a whole number from 8 to 8192]" in train("--help=augment", cwd=tmp_path).stdout
    refused = train("--help=agument", cwd=tmp_path)
    assert (refused.returncode, "did you mean augment?" in refused.stderr) == (2, True)


def test_a_command_on_a_trained_model_names_the_model_instead_of_a_recipe(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt").write_bytes(b"")
    (tmp_path / "photos").mkdir()
    done = train("task=predict", "ckpt_path=model.ckpt", "source=photos", "hydra.run.dir=run", cwd=tmp_path)
    assert done.stdout.splitlines()[0] == "predict: ckpt_path=model.ckpt, source=photos -> run"
    done = train("task=check", "data=folder", "data.root=photos", "hydra.run.dir=run", cwd=tmp_path)
    assert done.stdout.splitlines()[0] == "check: data=folder, seed=42 -> run"


def test_what_is_about_to_run_is_said_first(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    done = train("data=folder", "data.root=photos", "hydra.run.dir=run", cwd=tmp_path)
    assert done.stdout.splitlines()[0] == "fit: data=folder, model=resnet34, recipe=fine_tune, seed=42 -> run"
