"""The ready grids and the engines of conf/ compose, and every point of a grid is allowed."""

import itertools
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig

from pets.settings import config

CONF = Path(__file__).parents[2] / "conf"
GRIDS = [path.stem for path in sorted(CONF.glob("sweep/*.yaml"))]


def composed(*overrides: str, with_hydra: bool = True) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=["run_dir=run", *overrides], return_hydra_config=with_hydra)


@pytest.mark.parametrize("name", GRIDS)
def test_a_grid_is_a_sweep_and_keeps_to_the_rules(name: str) -> None:
    cfg = composed(f"sweep={name}")
    assert cfg.hydra.mode == RunMode.MULTIRUN
    params = [f"{key}={value}" for key, value in cfg.hydra.sweeper.params.items()]
    overrides = OverridesParser.create().parse_overrides(params)
    assert overrides
    assert all(override.is_sweep_override() for override in overrides)
    if "optuna" in cfg.hydra.sweeper._target_:
        return
    points = [[f"{o.get_key_element()}={value}" for value in o.sweep_string_iterator()] for o in overrides]
    for point in itertools.product(*points):
        config.check(composed(f"sweep={name}", *point, with_hydra=False))


def test_the_grid_of_splits_draws_another_split_for_every_seed() -> None:
    assert composed("sweep=splits", "seed=3").data.split.seed == 3
    assert composed("sweep=seeds", "seed=3").data.split.seed == 42


def test_slurm_has_a_process_for_every_device() -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    launcher = composed("hydra/launcher=slurm", "trainer.devices=4", "trainer.num_nodes=2").hydra.launcher
    assert launcher._target_.endswith("SlurmLauncher")
    assert (launcher.nodes, launcher.tasks_per_node, launcher.gpus_per_node) == (2, 4, 4)


def test_ray_composes_without_ray() -> None:
    launcher = composed("hydra/launcher=ray_cluster", "hydra.launcher.ray.remote.num_gpus=0.5").hydra.launcher
    assert launcher.ray.remote.num_gpus == 0.5


def test_the_search_can_be_given_in_a_grid_and_on_the_command_line() -> None:
    cfg = composed("sweep=bayes", "hydra.sweeper.n_trials=5", "seed=7")
    assert (cfg.hydra.sweeper.n_trials, cfg.hydra.sweeper.seed) == (5, 7)
