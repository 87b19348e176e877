"""The command line as a person meets it: quick answers, one line for an error, no traceback, an exit code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pets.cli import expand_home

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
        (["data=regex", "data.root=nowhere"], "nowhere"),
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
    assert done.returncode != 0
    assert "Key 'epoch' is not in struct" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_traceback_is_one_variable_away(tmp_path: Path) -> None:
    assert "Traceback" in train("seed=-1", cwd=tmp_path, HYDRA_FULL_ERROR="1").stderr


def test_a_home_folder_may_be_written_with_a_tilde() -> None:
    home = str(Path.home())
    typed = ["train.py", "data.root=~/photos", "ckpt_path=~", "data.root=~other/x", "name=a~/b", "~trainer"]
    assert expand_home(typed) == ["train.py", f"data.root={home}/photos", f"ckpt_path={home}", *typed[3:]]


def test_help_shows_what_can_be_typed(tmp_path: Path) -> None:
    shown = train("--help", cwd=tmp_path).stdout
    for words in ("python train.py experiment=demo", "recipe: fine_tune", "tensorboard --logdir outputs"):
        assert words in shown
