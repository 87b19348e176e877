"""What a person sees while something takes time: one live display on a terminal, plain lines in a pipe."""

import logging
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:  # rich is loaded when there is something to show
    from rich.console import Console
    from rich.progress import Progress

T = TypeVar("T")

SECONDS = 0.1
"""Between two pictures of the display. No thread refreshes it: it would be a hazard where data workers are forked."""
WINDOW = 600.0
"""Seconds of the past from which the time left is told."""
MUTED = {"muted": True}
"""`log.info(..., extra=MUTED)` writes in grey, on a terminal."""

_display: "_Display | None" = None
"""What is on the terminal now."""


def is_terminal() -> bool:
    """Tell whether stdout is a terminal that can move its cursor."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def clock(seconds: float) -> str:
    """Return a duration as m:ss, or h:mm:ss from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def path_text(path: str | Path) -> str:
    """Return a path as a person would type it: relative if it is below the current folder."""
    path = Path(path)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def wrapped(text: str, width: int) -> str:
    """Break lines that are too long between words; a word that is too long stays whole, so that it can be copied."""
    lines = []
    for line in text.split("\n"):
        indent = line[: len(line) - len(line.lstrip())]
        pieces = textwrap.wrap(
            line, width, subsequent_indent=f"{indent}  ", break_long_words=False, break_on_hyphens=False
        )
        lines += pieces if len(line) > width else [line]
    return "\n".join(lines)


class Bar:
    """A line of the display; without a display it takes no notice of anything.

    Args:
        display: Where it is shown, if anywhere.
        what: The text before the bar; it is to leave room for a bar on 60 columns.
        total: How much there is to do; None: nobody knows.
    """

    def __init__(self, display: "_Display | None", what: str, total: int | None) -> None:
        self.display = display
        if display is not None:
            self._task = display.progress.add_task(what, total=total, note="")
            display.refresh(now=True)

    def advance(self, n: int = 1) -> None:
        """Count `n` more."""
        if self.display is not None:
            self.display.progress.advance(self._task, n)
            self.display.refresh()

    def tell(self, **changes: Any) -> None:
        """Change the text before the bar (`description`), the line below (`note`), how much is done (`completed`)."""
        if self.display is not None:
            self.display.progress.update(self._task, **changes)
            self.display.refresh()

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items and count each when it is done."""
        for item in items:
            yield item
            self.advance()

    def close(self) -> None:
        """Take the line away; with the last one the display goes."""
        global _display
        display, self.display = self.display, None
        if display is None:
            return
        display.progress.remove_task(self._task)
        if display.progress.tasks:
            display.refresh(now=True)
        else:
            display.progress.stop()
            _display = None


def open_bar(what: str, total: int | None = None, shown: bool | None = None) -> Bar:
    """Return a line of the display, which the caller closes; `progress` does it by itself.

    Args:
        what: The text before the bar.
        total: How much there is to do; None: nobody knows.
        shown: Whether it is; None: on a terminal.
    """
    global _display
    if not (is_terminal() if shown is None else shown):
        return Bar(None, what, total)
    if _display is None:
        _display = _Display()
    return Bar(_display, what, total)


@contextmanager
def progress(what: str, total: int | None = None, shown: bool | None = None) -> Iterator[Bar]:
    """Show how far a block is, see `open_bar`; whatever ends the block takes the line away."""
    bar = open_bar(what, total, shown)
    try:
        yield bar
    finally:
        bar.close()


class Handler(logging.StreamHandler[Any]):
    """Writes plain lines; on a terminal broken between words, and above the live display where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        text = super().format(record)
        return wrapped(text, shutil.get_terminal_size().columns) if is_terminal() else text

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        muted = getattr(record, "muted", False) and is_terminal()
        # A data worker, forked while there was a display, has none.
        if not muted and (_display is None or _display.process != os.getpid()):
            super().emit(record)
            return
        try:
            console = _console() if _display is None else _display.progress.console
            style = "bright_black" if muted else None
            console.print(self.format(record), style=style, markup=False, highlight=False, emoji=False, soft_wrap=True)
        except Exception:
            self.handleError(record)


def _console() -> "Console":
    from rich.console import Console

    return Console(file=sys.stdout)


class _Display:
    """Bars one below the other, as wide as the terminal."""

    def __init__(self, console: "Console | None" = None) -> None:
        self.progress = _bars(console)
        self.process = os.getpid()
        self._drawn = 0.0
        self.progress.start()

    def refresh(self, now: bool = False) -> None:
        """Draw, unless that has just been done."""
        if now or time.monotonic() - self._drawn >= SECONDS:
            self._drawn = time.monotonic()
            self.progress.refresh()


def _bars(console: "Console | None" = None) -> "Progress":
    from rich.console import Console, RenderableType
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn
    from rich.text import Text

    class TimeLeft(ProgressColumn):
        def render(self, task: Task) -> Text:
            left = task.time_remaining
            return Text("" if left is None else f"{clock(left)} left", justify="right", no_wrap=True)

    class Bars(Progress):
        def get_renderables(self) -> Iterable[RenderableType]:
            yield self.make_tasks_table(self.tasks)
            for task in self.tasks:
                if task.fields["note"]:
                    yield Text(task.fields["note"])

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), TaskProgressColumn(), TimeLeft())
    terminal = console or Console(file=sys.stdout, force_terminal=True)
    return Bars(
        *columns, console=terminal, transient=True, expand=True, auto_refresh=False, speed_estimate_period=WINDOW
    )
