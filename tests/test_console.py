"""The live display at any width, and plain lines where nobody watches."""

import io
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pets import console


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


Watch = Callable[[int], Callable[[], list[str]]]


def n_bars() -> int:
    display = console._display
    assert display is not None
    return len(display.progress.tasks)


@pytest.mark.parametrize("width", [60, 100, 200])
def test_a_fit_is_told_whole_at_any_width(terminal_of: Watch, width: int) -> None:
    lines_shown = terminal_of(width)
    with console.progress("epoch 13 of 17, validation", 1000, shown=True) as bar:
        bar.tell(completed=400)
        bar.advance(30)
        bar.tell(note="loss 0.5213, error 15.1% at the last validation")
    lines = lines_shown()
    assert any(line.startswith("epoch 13 of 17, validation ") and " 43%" in line for line in lines)
    assert any(line.rstrip() == "loss 0.5213, error 15.1% at the last validation" for line in lines)
    assert max(map(len, lines)) <= width
    assert not [line for line in lines if "…" in line]


def test_bars_stand_below_each_other_and_the_last_takes_the_display_away(terminal_of: Watch) -> None:
    lines_shown = terminal_of(60)
    with console.progress("epoch 1 of 2, frozen", 10, shown=True):
        with console.progress("caching images", 5, shown=True) as inner:
            assert list(inner.over("abc")) == ["a", "b", "c"]
            assert n_bars() == 2
        assert n_bars() == 1
    assert console._display is None
    assert any(line.startswith("caching images") and "60%" in line for line in lines_shown())


def test_an_error_takes_the_display_away_before_anybody_prints_it(terminal_of: Watch) -> None:
    terminal_of(60)

    def interrupted() -> None:
        with console.progress("LR finder", 3, shown=True):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped:
        interrupted()
    assert stopped.tb is not None, "what keeps the frames of the block alive"
    assert console._display is None


def test_nothing_is_shown_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress("predicting", 3) as bar:
        bar.tell(note="nothing")
        assert list(bar.over([1, 2, 3])) == [1, 2, 3]
    assert capsys.readouterr() == ("", "")


def test_a_dumb_terminal_gets_no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "dumb")
    assert not console.is_terminal()
    monkeypatch.setenv("TERM", "xterm")
    assert console.is_terminal()


def log_line(text: str, **extra: object) -> logging.LogRecord:
    record = logging.LogRecord("pets", logging.INFO, "", 0, text, None, None)
    vars(record).update(extra)
    return record


def test_a_line_in_a_pipe_is_as_it_was_written() -> None:
    stream = io.StringIO()
    console.Handler(stream).emit(log_line("a line [of 70] columns " + "x" * 60, **console.MUTED))
    assert stream.getvalue() == "a line [of 70] columns " + "x" * 60 + "\n"


def test_a_line_is_written_above_the_display(terminal_of: Watch) -> None:
    lines_shown, stream = terminal_of(60), io.StringIO()
    with console.progress("epoch 1 of 2, frozen", 10, shown=True):
        console.Handler(stream).emit(log_line("    0    frozen  [0.5]"))
    assert stream.getvalue() == ""
    lines = lines_shown()
    assert "    0    frozen  [0.5]" in lines
    above = lines.index("    0    frozen  [0.5]")
    assert any("epoch 1 of 2" in line for line in lines[above:])


def test_a_forked_worker_writes_plainly(terminal_of: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal_of(60)
    stream = io.StringIO()
    with console.progress("epoch 1 of 2, frozen", 10, shown=True):
        monkeypatch.setattr(console._display, "process", -1)
        console.Handler(stream).emit(log_line("from a worker"))
    assert stream.getvalue() == "from a worker\n"


def test_a_muted_line_is_grey_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    monkeypatch.setenv("TERM", "xterm-256color")
    console.Handler(terminal).emit(log_line("others", **console.MUTED))
    assert terminal.getvalue() == "\x1b[90mothers\x1b[0m\n"


def test_lines_break_between_words_and_words_stay_whole() -> None:
    path = "/a/very/long/path-with/parts-that/no-terminal/shows-in-one-line"
    assert console.wrapped(f"short\n  a picture: {path} it is", 30) == f"short\n  a picture:\n    {path}\n    it is"


def test_paths_are_told_as_they_would_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert console.path_text(tmp_path / "outputs" / "run") == str(Path("outputs", "run"))
    assert console.path_text(tmp_path.parent / "elsewhere") == str(tmp_path.parent / "elsewhere")
