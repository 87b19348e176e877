"""Every file of conf/ composes, holds only allowed values, explains every key, and builds what it names."""

import re
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from pets import rules

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
def test_every_choice_follows_the_rules_and_every_key_has_one(choice: str) -> None:
    cfg = composed(choice, *REQUIRED.get(choice, []))
    rules.check(cfg)
    without = [key for key, _ in rules.leaves(OmegaConf.to_container(cfg)) if rules.rule_for(key) is None]
    assert not without


def test_a_rule_without_a_key_is_a_leftover() -> None:
    used: set[str] = set()
    for choice in CHOICES:
        cfg = composed(choice, *REQUIRED.get(choice, []))
        used |= {key for key, _ in rules.leaves(OmegaConf.to_container(cfg))}
    unused = [
        key
        for key in rules.RULES
        if key not in used and not any(key.endswith(".*") and name.startswith(key[:-1]) for name in used)
    ]
    assert not unused
