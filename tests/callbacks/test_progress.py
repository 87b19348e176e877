"""A bar on a terminal only."""

import sys

import pytest

from pets.callbacks.progress import Progress


@pytest.mark.parametrize(
    ("bar", "terminal", "shown"),
    [("auto", True, True), ("auto", False, False), ("on", False, True), ("off", True, False)],
)
def test_bar(bar: str, terminal: bool, shown: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert Progress(bar).is_enabled is shown


def test_a_wrong_word_is_named() -> None:
    with pytest.raises(ValueError, match=r"callbacks\.progress\.bar='loud' is not allowed: auto, on, off"):
        Progress("loud")
