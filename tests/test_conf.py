"""Every file of conf/ composes, holds only allowed values, explains every key, and builds what it names."""

import re
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from pets.settings import config

CONF = Path(__file__).parents[1] / "conf"
FILES = sorted(path for path in CONF.rglob("*.yaml"))
CHOICES = [
    f"{path.parent.relative_to(CONF)}={path.stem}"
    for path in FILES
    if path.parent != CONF and "hydra" not in path.parts and not path.stem.startswith("_")
]
REQUIRED = {
    "data=folder": ["data.root=photos"],
    "data=regex": ["data.root=photos"],
    "data=csv": ["data.root=photos"],
    "model=timm": ["model.arch=resnet10t"],
    "experiment=few_shot": ["data.root=photos", "model.arch=resnet10t"],
}


def composed(*overrides: str) -> DictConfig:
    """Compose the configuration as the command line would, with a run folder that needs no run."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=["run_dir=run", *overrides])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONF)))
def test_every_key_has_a_comment(path: Path) -> None:
    needs_one = re.compile(r"^\s*(?!- |version|class|formatter|_target_|_partial_|_convert_)[\w.]+: *[^\s#&|>]")
    # The help text is a text, the keys of logging are Python's.
    lines = path.read_text(encoding="utf-8").split("\n  help:")[0].split("\nroot:")[0].splitlines()
    bare = [line for line in lines if needs_one.match(line) and " # " not in line and "ext://" not in line]
    assert not bare


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_holds_declared_keys_and_allowed_values(choice: str) -> None:
    config.check(composed(choice, *REQUIRED.get(choice, [])))


def test_every_group_is_declared_or_open() -> None:
    """A group of which nothing is declared would be checked by nobody."""
    cfg = composed("lr_finder=report", "ema=default")
    groups = {str(name) for name, node in cfg.items() if OmegaConf.is_dict(node)}
    raw: Any = OmegaConf.to_container(cfg)
    assert groups - {prefix.split(".")[0] for prefix, *_ in config.declared_nodes(raw)} <= set(config.OPEN_GROUPS)


def test_nothing_in_the_files_of_a_group_converts_by_itself() -> None:
    """`pets.build` converts whatever it builds, so that a file of a user's own needs no `_convert_`."""
    assert [path.name for path in FILES if "_convert_" in path.read_text(encoding="utf-8")] == []
