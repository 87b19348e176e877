"""Hydra's grammar of ranges as Optuna's distributions; what is fixed and what is searched."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

pytest.importorskip("optuna")

import optuna
from omegaconf import OmegaConf
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from hydra_plugins.pets_optuna_sweeper.sweeper import OptunaSweeper, distribution, split

PARSER = OverridesParser.create()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("interval(0.0, 0.5)", FloatDistribution(0.0, 0.5)),
        ("interval(1, 4)", FloatDistribution(1.0, 4.0)),
        ("int(interval(1, 4))", IntDistribution(1, 4)),
        ("tag(log, interval(1e-4, 1e-2))", FloatDistribution(1e-4, 1e-2, log=True)),
        ("int(tag(log, interval(10, 1000)))", IntDistribution(10, 1000, log=True)),
        ("range(1, 8, 2)", IntDistribution(1, 7, step=2)),
        ("range(0.0, 0.5, 0.1)", FloatDistribution(0.0, 0.4, step=0.1)),
        ("choice(adamw, sgd)", CategoricalDistribution(["adamw", "sgd"])),
        ("a,b", CategoricalDistribution(["a", "b"])),
        ("'x y','1'", CategoricalDistribution(["'x y'", "'1'"])),
    ],
)
def test_ranges(text: str, expected: BaseDistribution) -> None:
    assert distribution(PARSER.parse_override(f"key={text}")) == expected


def test_what_is_said_last_counts_and_what_is_no_range_is_fixed() -> None:
    said = ["a=interval(0.0, 1.0)", "b=choice(1, 2)", "+c=x", "a=interval(0.0, 2.0)", "b=3"]
    fixed, space = split(PARSER.parse_overrides(said))
    assert fixed == ["b=3", "+c=x"]
    assert space == {"a": FloatDistribution(0.0, 2.0)}


@pytest.mark.parametrize("arguments", [{"n_trials": 0, "n_jobs": 1}, {"n_trials": 1, "n_jobs": 0}])
def test_numbers_of_jobs_are_checked(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"hydra\.sweeper\.n_\w+=0 must be at least 1"):
        OptunaSweeper(**arguments, seed=0, params={})


@pytest.mark.parametrize(("metric", "expected"), [("valid/loss", "minimize"), ("valid/f1_macro", "maximize")])
def test_the_metric_says_which_way_to_search(
    metric: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create_study(direction: str, **_: Any) -> None:
        raise InterruptedError(direction)

    monkeypatch.setattr(optuna, "create_study", create_study)
    sweeper = OptunaSweeper(n_trials=1, n_jobs=1, seed=0, params={})
    # The mode of the checkpoint callback, which said so before, speaks of another metric.
    checkpoint = {"checkpoint": {"monitor": "valid/loss", "mode": "min"}}
    sweeper.config = OmegaConf.create(
        {"hydra": {"sweep": {"dir": str(tmp_path)}}, "optimized_metric": metric, "callbacks": checkpoint}
    )
    sweeper.hydra_context = SimpleNamespace(config_loader=None)  # type: ignore[assignment]
    with pytest.raises(InterruptedError, match=expected):
        sweeper.sweep([])
