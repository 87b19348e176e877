"""`task=learning_curve` says what twice as many photographs would bring, from stored features."""

import csv
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from pets import cli
from pets.evaluation.features import FeatureStore
from pets.evaluation.learning_curve import ClassErrors, Forecast
from pets.tasks import fit, learning_curve
from tests.evaluation.test_learning_curve import errors_of

Compose = Callable[..., DictConfig]
PROBE = ("model=timm", "model.arch=test_resnet", "recipe=probe", "data.split.valid_pct=0.3")


@pytest.fixture
def curve_of(tiny_config: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., DictConfig]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return lambda *overrides: tiny_config(*PROBE, "task=learning_curve", *overrides, epochs=None)


def test_it_continues_the_error_of_a_probe_without_looking_again(
    curve_of: Compose, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    error = fit.run(curve_of("task=fit"))
    monkeypatch.setattr(FeatureStore, "_forward", None)
    cfg = curve_of("learning_curve.repeats=3")
    with caplog.at_level(logging.INFO):
        learning_curve.run(cfg)
    folder = Path(cfg.run_dir)
    found = json.loads((folder / "learning_curve.json").read_text())
    assert [len(size["errors"]) for size in found["sizes"]] == [3] * len(found["sizes"])
    assert found["sizes"][-1]["errors"] == pytest.approx([error] * 3)
    assert (found["valid"], found["sizes"][-1]["images"], found["forecast"]["images"]) == (7, 17, 34)
    expected = found["forecast"]
    assert expected["low"] <= expected["value"] <= expected["high"]
    with (folder / "classes.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert sum(int(row["valid"]) for row in rows) == 7
    assert {"learning_curve.png", "splits.json", "config.yaml"} <= {path.name for path in folder.iterdir()}
    assert f"expect {expected['value']:.1%} (90%: {expected['low']:.1%} to {expected['high']:.1%})" in caplog.text

    again = curve_of("learning_curve.repeats=3")
    learning_curve.run(again)
    assert (Path(again.run_dir) / "learning_curve.json").read_text() == json.dumps(found, indent=1) + "\n"


def test_what_it_says() -> None:
    curve, _ = errors_of([0.1, 0.5], 20)
    rows = [ClassErrors(f"class {i}", 40, 20, 0.5, 0.45, 0.01 * i) for i in range(8)]
    assert learning_curve.sentences(curve, Forecast(0.25, 0.2, 0.3), rows) == [
        "80 training images: error 30.0% on 40 validation images; 40: 30.0%",
        "with twice as many training images expect 25.0% (90%: 20.0% to 30.0%) on the same validation images",
        "the classes that would gain most: class 0 (45% of 20 wrong), class 1 (45% of 20 wrong), "
        "class 2 (45% of 20 wrong), class 3 (45% of 20 wrong), class 4 (45% of 20 wrong)",
    ]
    few = [row._replace(p=0.02) for row in rows]
    assert learning_curve.sentences(curve, Forecast(0.25, 0.2, 0.3), few)[2].endswith(" and 3 more")
    assert "by more than chance" in learning_curve.sentences(curve, Forecast(0.25, 0.2, 0.3), rows[5:])[2]


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (
            ["model.head.init=random"],
            "^task=learning_curve solves a head for every number of images: add recipe=probe$",
        ),
        (["ckpt_path=a.ckpt"], "^ckpt_path=a.ckpt: task=learning_curve needs a body that has seen none of the images"),
    ],
)
def test_what_is_refused(overrides: list[str], says: str, curve_of: Compose) -> None:
    with pytest.raises(ValueError, match=says):
        cli.check(curve_of(*overrides))
