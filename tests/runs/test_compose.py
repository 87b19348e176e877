"""What is wrong with a command is said in one line, with the key that was meant."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from pets.errors import UserError
from pets.runs.compose import Conf, each_value
from pets.settings import config

ONE_CYCLE = ["recipe=one_cycle"]


def complaint(*overrides: str, multirun: bool = False) -> str:
    with pytest.raises(UserError) as refused:
        config.check(Conf().compose(overrides, multirun=multirun))
    return str(refused.value)


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (["recipe.epoch=3"], "no key recipe.epoch; did you mean recipe.epochs?"),
        (["modle=resnet18"], "no key modle; did you mean model?"),
        (["epochs=3"], "no key epochs: use recipe.epochs"),
        (
            ["trainer.max_epochs=3"],
            "no key trainer.max_epochs: use recipe.epochs (with phases: recipe.phases.0.epochs)",
        ),
        (["+trainer.max_epochs=3"], "no key trainer.max_epochs: use recipe.epochs (with phases:"),
        (["+foo=1"], "no key foo"),
        (["+data.banana=1"], "no key data.banana"),
        (["+data.presize.siez=1"], "no key data.presize.siez; did you mean data.presize.size?"),
        (["dropout=0.1"], "no key dropout; did you mean model.head.dropout?"),
        (["callbacks.progres.bar=off"], "no key callbacks.progres.bar; did you mean callbacks.progress.bar?"),
        (["~nothing"], "no key nothing"),
        (["+recipe.epochs=3"], "+recipe.epochs: the key is there already, type recipe.epochs= without the +"),
        (["model=resnet99"], "model=resnet99 is not allowed; did you mean resnet"),
        (["experiment=dmeo"], "experiment=dmeo is not allowed; did you mean demo?"),
        (["sweep=nothing_like_it"], "sweep=nothing_like_it is not allowed: arch, "),
        (["seed=1,2"], "seed=1,2: several values are a sweep, add -m; [a,b] is a list"),
        (["seed"], "the command cannot be read: "),
        (["model=[resnet18"], "the command cannot be read: "),
        (["callbacks=[1]"], "callbacks=[1] is not allowed: default"),
        (["data=3"], "data=3 is not allowed: csv, demo, "),
        (["optimizer=null"], "optimizer=null is not allowed: adamw, sgd"),
        (["=3"], "the command cannot be read: '=3' names no key"),
    ],
    ids=str,
)
def test_a_wrong_command_is_one_line(typed: list[str], says: str) -> None:
    line = complaint(*typed)
    assert line.startswith(says)
    assert "\n" not in line


def test_a_phase_is_changed_by_its_number() -> None:
    assert Conf().compose([*ONE_CYCLE, "recipe.phases.0.epochs=7"]).recipe.phases[0].epochs == 7


def test_a_sweep_is_composed_with_its_first_values() -> None:
    typed = ["model=resnet18,resnet50", "seed=range(3,5)", "recipe.base_lr=interval(0.1,1)"]
    cfg = Conf().compose(typed, multirun=True)
    assert (cfg.model.arch, cfg.seed, cfg.recipe.base_lr) == ("resnet18", 3, 0.1)
    assert complaint("recipe.epoch=1,2", multirun=True).startswith("no key recipe.epoch;")


def test_every_value_of_a_sweep_is_seen_once() -> None:
    typed = ["model=resnet18,resnet50", "seed=range(3,5)", "recipe.base_lr=choice(0.1,0.2,0.3)", "data=demo"]
    assert list(each_value(typed)) == [
        ["model=resnet50", "seed=range(3,5)", "recipe.base_lr=choice(0.1,0.2,0.3)", "data=demo"],
        ["model=resnet18,resnet50", "seed=range(3,5)", "recipe.base_lr=0.2", "data=demo"],
        ["model=resnet18,resnet50", "seed=range(3,5)", "recipe.base_lr=0.3", "data=demo"],
    ]


def test_a_callback_without_its_plus_is_told_of_it() -> None:
    assert complaint("callbacks.mine._target_=own.Mine").endswith("; +callbacks.mine._target_= adds a key of your own")
    assert complaint("trainer.max_epochs=3").startswith("no key trainer.max_epochs: use recipe.epochs")
    assert "+" not in complaint("trainer.max_epochs=3")


def test_a_folder_of_ones_own_adds_files(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nseed: 7\n")
    (tmp_path / "callbacks").mkdir()
    (tmp_path / "callbacks" / "mine.yaml").write_text("defaults:\n  - default\nextra:\n  _target_: my.Callback\n")
    conf = Conf(str(tmp_path))
    assert conf.compose(["experiment=mine"]).seed == 7
    assert "mine" in conf.files()["experiment"]
    assert "my.Callback" in conf.targets()
    assert "my.Callback" not in Conf().targets()


def test_every_key_that_does_another_programs_job_exists() -> None:
    conf = Conf()
    keys = set(config.known_keys(OmegaConf.to_container(conf.compose([]))))  # type: ignore[arg-type]
    choices = {f"{group}={name}" for group, names in conf.files().items() for name in names}
    for instead in config.INSTEAD.values():
        first = instead.split()[0]
        assert first in keys | choices or first.startswith("hydra.") or instead.startswith("the group ")
