"""The common style of all figures, which are drawn without pyplot and so change nothing global; their pixels."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from pets.files import replacing

INK, MUTED, GRID = "#222222", "#6b7280", "#e5e7eb"
RIGHT, WRONG, ACCENT = "#15803d", "#c2410c", "#2563eb"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8b5cf6")
"""Colours told apart by colour-blind readers (Okabe and Ito)."""

STYLE: Any = {
    "font.size": 9.0,
    "text.color": INK,
    "axes.titlesize": 11.0,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 9.0,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "figure.dpi": 120.0,
    "figure.constrained_layout.use": True,
    "text.parse_math": False,  # names of files and classes are no formulas
}

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def styled(draw: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Let a function draw under STYLE, whatever the user's matplotlib is set to."""

    @wraps(draw)
    def wrapper(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with rc_context(STYLE):
            return draw(*args, **kwargs)

    return wrapper


def pixels(figure: Figure) -> NDArray[np.uint8]:
    """Return red, green, blue and alpha of a figure, uint8 (H, W, 4); it is drawn only if it has changed since."""
    canvas = figure.canvas
    if figure.stale or not isinstance(canvas, FigureCanvasAgg):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()  # type: ignore[no-untyped-call]  # savefig draws twice
    return np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]


def write_figure(path: Path, figure: Figure) -> None:
    """Write a figure as PNG as `pets.files.replacing` does."""
    with replacing(path) as stream:
        Image.fromarray(pixels(figure)).save(stream, format="png")
