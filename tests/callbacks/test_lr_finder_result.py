import json
import logging
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pets.callbacks.lr_finder import LRFinder
from pets.callbacks.one_cycle import OneCycle
from pets.schedule.lr_range import LRCurve
from pets.schedule.one_cycle import one_cycle_lr
from pets.schedule.recipe import Phase, Recipe, fine_tune, one_cycle

RECIPE = fine_tune(epochs=1, freeze_epochs=1, base_lr=0.01)


def one_cycle_of(trainer: Trainer) -> OneCycle:
    return next(callback for callback in trainer.callbacks if isinstance(callback, OneCycle))


def applied(curve: LRCurve, fit_with: Any, monkeypatch: pytest.MonkeyPatch, recipe: Recipe, **settings: Any) -> Trainer:
    """A run with `apply` whose test found `curve`."""
    monkeypatch.setattr("pets.callbacks.lr_finder.lr_range_test", lambda *_: curve)
    return fit_with(LRFinder(mode="apply", **settings), recipe)


@pytest.fixture
def good_curve() -> LRCurve:
    lrs = [1e-7 * 10 ** (8 * i / 100) for i in range(100)]
    losses = [3.7 - 2.6 / (1 + np.exp(-2.5 * (np.log10(lr) + 3))) + 10 ** (2.5 * (np.log10(lr) - 0.2)) for lr in lrs]
    return LRCurve(lrs, [float(loss) for loss in losses], 100, 8)


@pytest.mark.parametrize("rule", ["valley", "minimum"])
@pytest.mark.parametrize("freeze_epochs", [0, 1])
def test_an_applied_suggestion_is_the_heads_peak_and_the_ratios_stay(
    fit_with: Any, monkeypatch: pytest.MonkeyPatch, good_curve: LRCurve, rule: str, freeze_epochs: int
) -> None:
    recipe = fine_tune(epochs=1, freeze_epochs=freeze_epochs)
    one = one_cycle_of(applied(good_curve, fit_with, monkeypatch, recipe, suggestion=rule))
    peaks, before = one.recipe.phases[0].group_lrs(), recipe.phases[0].group_lrs()
    assert peaks["head"] == pytest.approx(good_curve.suggestions[rule])
    assert peaks["early"] / peaks["head"] == pytest.approx(before["early"] / before["head"])
    assert one.state_dict() == {"base_lr": one.recipe.base_lr}


def test_the_first_step_after_apply_follows_the_suggestion(
    fit_with: Any, monkeypatch: pytest.MonkeyPatch, good_curve: LRCurve
) -> None:
    recipe = one_cycle([Phase(1, False, (1e-4, 1e-2))])
    trainer = applied(good_curve, fit_with, monkeypatch, recipe)
    phase = one_cycle_of(trainer).recipe.phases[0]
    last = {group["name"]: group["lr"] for group in trainer.optimizers[0].param_groups}
    assert last["head/decay"] == one_cycle_lr(3 / 4, phase.group_lrs()["head"], phase)
    assert phase.group_lrs()["head"] == good_curve.suggestions["valley"]


def test_an_unreliable_suggestion_is_not_applied(fit_with: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    flat = LRCurve([1e-7 * 1.2**step for step in range(40)], [1.0] * 40, 100, 8)
    with pytest.warns(UserWarning, match=r"apply has no effect, base_lr stays 1.00e-02: the loss hardly falls"):
        trainer = applied(flat, fit_with, monkeypatch, RECIPE)
    assert one_cycle_of(trainer).recipe is RECIPE


def test_a_resumed_run_skips_the_test_and_keeps_what_was_applied(
    fit_with: Any, monkeypatch: pytest.MonkeyPatch, good_curve: LRCurve, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "last.ckpt"
    applied(good_curve, fit_with, monkeypatch, RECIPE).save_checkpoint(checkpoint)
    finder = LRFinder(mode="apply")
    resumed = fit_with(finder, fine_tune(epochs=2, freeze_epochs=1, base_lr=0.01), ckpt_path=checkpoint)
    assert finder.curve is None
    assert one_cycle_of(resumed).recipe.base_lr == good_curve.suggestions["valley"]


def test_the_run_folder_holds_curve_and_picture_and_nothing_else(
    fit_with: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    finder = LRFinder(dirpath=tmp_path / "run" / "deep")
    fit_with(finder)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == ["lr_finder.json", "lr_finder.png"]
    assert finder.curve is not None
    assert (tmp_path / "run/deep/lr_finder.json").read_text() == finder.curve.to_json() + "\n"
    assert (tmp_path / "run/deep/lr_finder.png").read_bytes().startswith(b"\x89PNG")


def test_the_figure_is_in_tensorboard(fit_with: Any, tmp_path: Path) -> None:
    fit_with(LRFinder(), logger=TensorBoardLogger(tmp_path, name="", version="", default_hp_metric=False))
    events = EventAccumulator(str(tmp_path)).Reload()
    assert "view/lr_finder" in events.Tags()["images"]


def test_without_epochs_only_the_test_runs(make_net: Any, make_loader: Any, make_trainer: Any, tmp_path: Path) -> None:
    finder = LRFinder(recipe=RECIPE)
    trainer = make_trainer(max_epochs=0, callbacks=[finder])
    trainer.fit(make_net(), make_loader(), make_loader(1))
    assert finder.curve is not None
    assert trainer.global_step == 0
    assert list(tmp_path.rglob("lr_finder.*")) == [], "no folder was named"


def test_without_a_recipe_there_is_an_error(make_net: Any, make_loader: Any, make_trainer: Any) -> None:
    with pytest.raises(ValueError, match="needs the OneCycle callback"):
        make_trainer(max_epochs=1, callbacks=[LRFinder()]).fit(make_net(), make_loader(), make_loader(1))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mode", "off"), ("suggestion", "steepest"), ("start_lr", 0), ("start_lr", 11.0), ("num_steps", 10),
        ("num_steps", 50.0),
    ],
)  # fmt: skip
def test_a_bad_setting_is_named(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^lr_finder\.{key}={value!r} is not allowed"):
        LRFinder(**{key: value})


@pytest.mark.ddp
def test_two_processes_see_one_curve(tmp_path: Path) -> None:
    subprocess.run([sys.executable, __file__, str(tmp_path)], check=True, timeout=240)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first["curve"] == second["curve"]
    assert first["batch_size"] == 16
    assert first["own_loss"] != second["own_loss"]


def in_two_processes(folder: Path) -> None:
    """Fit in two forked processes, each with data of its own; each writes the curve it saw."""
    tiny = runpy.run_path(str(Path(__file__).with_name("conftest.py")))

    class Share(torch.utils.data.Sampler[int]):
        def __len__(self) -> int:
            return 32

        def __iter__(self) -> Iterator[int]:
            return iter(range(torch.distributed.get_rank(), 64, 2))

    losses: list[float] = []

    class Net(tiny["TinyNet"]):  # type: ignore[misc,name-defined,valid-type]
        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            loss = super().training_step(batch, batch_idx)
            losses.append(float(loss))
            return loss

    finder = LRFinder(num_steps=30, end_lr=1e4, recipe=fine_tune())
    trainer = Trainer(
        accelerator="cpu", devices=2, strategy="ddp_fork", max_epochs=0, callbacks=[finder], logger=False,
        enable_checkpointing=False, use_distributed_sampler=False, default_root_dir=folder, enable_progress_bar=False,
    )  # fmt: skip

    class Write(Callback):
        def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            curve = finder.curve
            assert curve is not None
            result = {"curve": curve.losses, "batch_size": curve.batch_size, "own_loss": losses[0]}
            (folder / f"{trainer.global_rank}.json").write_text(json.dumps(result))

    trainer.callbacks.append(Write())  # type: ignore[attr-defined]
    torch.manual_seed(0)
    trainer.fit(Net(), torch.utils.data.DataLoader(tiny["Squares"](64), 8, sampler=Share()))


if __name__ == "__main__":
    in_two_processes(Path(sys.argv[1]))


def said(fit_with: Any, caplog: pytest.LogCaptureFixture, folder: Path | None = None) -> list[logging.LogRecord]:
    """What the finder logs of a run."""
    with caplog.at_level(logging.INFO, "pets.callbacks.lr_finder"):
        fit_with(LRFinder(dirpath=folder), fine_tune(epochs=1, freeze_epochs=0, base_lr=0.01))
    return [record for record in caplog.records if record.name == "pets.callbacks.lr_finder"]


def test_one_suggestion_is_named_with_what_to_type_and_why_the_others_in_grey(
    fit_with: Any,
    monkeypatch: pytest.MonkeyPatch,
    good_curve: LRCurve,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("pets.callbacks.lr_finder.lr_range_test", lambda *_: good_curve)
    first, why, others, picture = said(fit_with, caplog, tmp_path)
    # Without a frozen phase the head peaks at half the base learning rate.
    assert first.message == f"LR finder: recipe.base_lr={2 * good_curve.suggestions['valley']:.2e}"
    assert why.message == "  valley: half-way down the longest fall of the loss, at 8 images a step"
    assert [name.split()[0] for name in others.message.split(": ")[1].split(", ")] == ["slide", "steep", "minimum"]
    assert "minimum / 10" in others.message
    assert [getattr(record, "muted", False) for record in (first, why, others, picture)] == [False, False, True, False]
    assert picture.message == f"  picture: {tmp_path / 'lr_finder.png'}"


def test_without_a_reliable_suggestion_there_is_nothing_to_type(
    fit_with: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    flat = LRCurve([1e-7 * 1.2**step for step in range(40)], [1.0] * 40, 100, 8)
    monkeypatch.setattr("pets.callbacks.lr_finder.lr_range_test", lambda *_: flat)
    first, found = said(fit_with, caplog)
    assert first.message.startswith("LR finder: no reliable suggestion: the loss hardly falls")
    assert found.message.startswith("  found, for the head: valley ")
