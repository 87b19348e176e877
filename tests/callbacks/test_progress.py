"""A bar on a terminal only."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from lightning import Callback, LightningModule, Trainer

from pets.callbacks.progress import Progress
from pets.console import open_bar


@pytest.mark.parametrize(
    ("bar", "terminal", "shown"),
    [("auto", True, True), ("auto", False, False), ("on", False, True), ("off", True, False)],
)
def test_bar(bar: Literal["auto", "on", "off"], terminal: bool, shown: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    monkeypatch.setenv("TERM", "xterm")
    assert Progress(bar).is_enabled is shown


def test_a_wrong_word_is_named() -> None:
    with pytest.raises(ValueError, match=r"callbacks\.progress\.bar='loud' is not allowed: auto, on, off"):
        Progress("loud")  # type: ignore[arg-type]


@pytest.fixture
def fit(make_net: Any, make_loader: Any, make_trainer: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Trainer]:
    """Fits two epochs with a bar."""
    monkeypatch.setattr("pets.callbacks.progress.NOTE_SECONDS", 0.0)

    def run(*callbacks: Callback, **settings: Any) -> Trainer:
        trainer = make_trainer(max_epochs=2, callbacks=[Progress("on"), *callbacks], enable_progress_bar=True)
        trainer.fit(make_net(), make_loader(4), make_loader(1), **settings)
        return trainer

    return run


def test_epochs_phases_and_the_loss_of_a_whole_fit(fit: Any, terminal_of: Any) -> None:
    lines_shown = terminal_of(60)
    fit()
    lines = lines_shown()
    places = list(dict.fromkeys(re.split("[━╺╸]", line)[0].strip() for line in lines if line.startswith("epoch")))
    assert places == [f"epoch {epoch} of 2, {doing}" for epoch in (1, 2) for doing in ("unfrozen", "validation")]
    assert any(line.startswith("epoch 2 of 2, validation") and "100%" in line for line in lines)
    assert any(re.fullmatch(r"loss \d+\.\d{4}", line) for line in lines)


def test_a_resumed_fit_goes_on_in_the_middle(fit: Any, terminal_of: Any, tmp_path: Path) -> None:
    class Saves(Callback):
        def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            trainer.save_checkpoint(tmp_path / f"{trainer.current_epoch}.ckpt")

    fit(Saves())
    lines_shown = terminal_of(60)
    fit(ckpt_path=tmp_path / "0.ckpt", weights_only=True)
    shares = [int(share) for line in lines_shown() for share in re.findall(r" (\d+)%", line)]
    assert min(share for share in shares if share) == 50


def test_validation_alone_has_a_line(make_net: Any, make_loader: Any, make_trainer: Any, terminal_of: Any) -> None:
    lines_shown = terminal_of(60)
    trainer = make_trainer(callbacks=[Progress("on")], enable_progress_bar=True)
    trainer.validate(make_net(), make_loader(2), verbose=False)
    assert any(line.startswith("validation ") and "100%" in line for line in lines_shown())


def test_a_fit_that_fails_leaves_no_display(fit: Any, terminal_of: Any) -> None:
    class Fails(Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            raise ValueError("no")

    terminal_of(60)
    with pytest.raises(ValueError, match="no"):
        fit(Fails())


@pytest.mark.parametrize(("bar", "printed"), [("off", "\n"), ("on", "")])
def test_what_follows_ctrl_c_stands_on_a_line_of_its_own(
    bar: Any, printed: str, make_trainer: Any, make_net: Any, terminal_of: Any,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """A terminal echoes ^C: the display takes it away with its own lines, else the line has to be ended."""
    terminal_of(60)
    monkeypatch.setattr("pets.callbacks.progress.console.is_terminal", lambda: True)
    progress = Progress(bar)
    if bar == "on":
        progress._bar = open_bar("epoch 1 of 2, frozen", 3, shown=True)
    progress.on_exception(make_trainer(), make_net(), KeyboardInterrupt())
    assert capsys.readouterr().out == printed
