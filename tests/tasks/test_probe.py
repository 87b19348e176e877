"""A probe is a run like any other: checkpoint, evaluation and metrics, and later commands take it up."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from omegaconf import DictConfig

from pets import build, cli
from pets.callbacks.evaluation import EvaluateAtEnd
from pets.data.cache.folder import user_folder
from pets.evaluation.features import FeatureStore
from pets.evaluation.predictions import Predictions
from pets.model.checkpoint import read_checkpoint
from pets.runs.run_folder import RunFolder
from pets.tasks import evaluate, fit

Compose = Callable[..., DictConfig]
PROBE = ("model=timm", "model.arch=test_resnet", "recipe=probe", "data.split.valid_pct=0.3", "data.split.test_pct=0.1")


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def probe(tiny_config: Compose) -> Callable[..., DictConfig]:
    return lambda *overrides: tiny_config(*PROBE, *overrides, epochs=None)


@pytest.mark.parametrize("init", ["lda", "logistic"])
def test_it_leaves_what_a_run_leaves(init: str, probe: Callable[..., DictConfig]) -> None:
    cfg = probe(f"model.head.init={init}")
    error = fit.run(cfg)
    run = RunFolder(cfg.run_dir)
    metrics = json.loads(run.metrics.read_text())
    assert metrics["valid/error_rate"] == error
    assert error <= 0.3  # the colour tells the breed
    assert {"valid/loss", "test/error_rate", "n", "seconds"} <= metrics.keys()
    assert read_checkpoint(run.last).weights.keys() == read_checkpoint(run.best).weights.keys()
    chosen = json.loads((run.path / "head.json").read_text())
    assert chosen["chosen"] in [trial["value"] for trial in chosen["trials"]]
    assert {"head.png", "splits.json", "valid", "test"} <= {path.name for path in run.path.iterdir()}


def test_its_predictions_are_those_of_its_checkpoint_on_the_images(probe: Callable[..., DictConfig]) -> None:
    cfg = probe()
    fit.run(cfg)
    later = probe("task=evaluate", f"ckpt_path={cfg.run_dir}")
    evaluate.run(later)
    first, second = (Predictions.load(Path(folder) / "valid") for folder in (cfg.run_dir, later.run_dir))
    assert first.files.tolist() == second.files.tolist()
    np.testing.assert_allclose(first.probabilities, second.probabilities, atol=1e-4)
    np.testing.assert_allclose(first.losses, second.losses, atol=1e-3)


def test_a_second_probe_looks_at_no_image(probe: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch) -> None:
    fit.run(probe())
    monkeypatch.setattr(FeatureStore, "_forward", None)
    for overrides in ("model.head.shrinkage=0.5", "model.head.init=logistic", "data.split.seed=7"):
        fit.run(probe(overrides))


def test_a_finished_one_is_not_done_again(probe: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = probe()
    error = fit.run(cfg)
    monkeypatch.setattr(build, "data_module", None)
    assert fit.run(probe(f"run_dir={cfg.run_dir}", f"ckpt_path={RunFolder(cfg.run_dir).last}")) == error


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
def test_one_that_was_killed_in_its_evaluation_is_resumed(
    probe: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg, straight = probe(), probe()
    expected = fit.run(straight)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(EvaluateAtEnd, "on_fit_end", killed)
        with pytest.raises(SystemExit):
            fit.run(cfg)
    assert not RunFolder(cfg.run_dir).metrics.exists()
    assert fit.run(probe(f"run_dir={cfg.run_dir}", f"ckpt_path={RunFolder(cfg.run_dir).last}")) == expected
    ours, theirs = (json.loads(RunFolder(each.run_dir).metrics.read_text()) for each in (cfg, straight))
    assert {k: v for k, v in ours.items() if "/" in k} == {k: v for k, v in theirs.items() if "/" in k}


def test_without_an_evaluation_it_still_has_its_metric(probe: Callable[..., DictConfig]) -> None:
    assert fit.run(probe("evaluate.at_end=false")) == fit.run(probe())


def test_nothing_is_kept_unless_that_is_asked_for(probe: Callable[..., DictConfig]) -> None:
    fit.run(probe("data.features=none"))
    assert not user_folder("features", "data.features").exists()


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["model.head.init=random"], r"^model\.head\.init=random is not allowed: recipe=probe solves the head"),
        (["lr_finder=report"], "^recipe=probe has no learning rate to find"),
        (["task=find_lr", "lr_finder=report"], "^recipe=probe has no learning rate to find"),
        (["loss=one_vs_rest"], r"^loss=one_vs_rest is not allowed: recipe=probe"),
    ],
)
def test_what_makes_no_sense_without_epochs_is_refused(
    overrides: list[str], says: str, probe: Callable[..., DictConfig]
) -> None:
    with pytest.raises(ValueError, match=says):
        cli.check(probe(*overrides))
