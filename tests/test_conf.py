"""Every file of conf/ composes, holds only allowed values, explains every key, and builds what it names."""

import re
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf, open_dict

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
}


def composed(*overrides: str) -> DictConfig:
    """Compose the configuration as the command line would, with a run folder that needs no run."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=["run_dir=run", *overrides])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONF)))
def test_every_key_has_a_comment(path: Path) -> None:
    value_line = re.compile(r"^\s*(- )?[\w.]+: *[^\s#&|>]")
    bare = [
        line
        for line in path.read_text(encoding="utf-8").splitlines()
        if value_line.match(line) and " # " not in line and "_target_" not in line and not line.lstrip().startswith("- ")
        and not re.match(r"^\s*(version|class|formatter|_partial_|_convert_):", line)
    ]  # fmt: skip
    assert not bare


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_follows_the_rules_and_every_key_has_one(choice: str) -> None:
    cfg = composed(
        choice if not choice.startswith(("experiment", "sweep")) else f"+{choice}", *REQUIRED.get(choice, [])
    )
    rules.check(cfg)
    plain = OmegaConf.to_container(cfg, resolve=True)
    without = [key for key, _ in rules.leaves(plain) if rules.rule_for(key) is None]
    assert not without


def test_a_rule_without_a_key_is_a_leftover() -> None:
    used: set[str] = set()
    for choice in CHOICES:
        plus = "+" if choice.startswith(("experiment", "sweep")) else ""
        cfg = composed(plus + choice, *REQUIRED.get(choice, []))
        used |= {key for key, _ in rules.leaves(OmegaConf.to_container(cfg))}
    unused = [
        key
        for key in rules.RULES
        if key not in used and not any(key.endswith(".*") and name.startswith(key[:-1]) for name in used)
    ]
    assert not unused
