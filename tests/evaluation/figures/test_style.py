"""A figure is drawn once, however many places show it, and as savefig draws it."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from pets.evaluation.figures.style import pixels, styled, write_figure


@styled
def line() -> Figure:
    figure = Figure(figsize=(2, 1.5))
    figure.subplots().plot([0, 1], label="a line")
    return figure


def test_a_figure_is_drawn_again_only_if_it_has_changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    figure, drawn, draw = line(), [], Figure.draw

    def counted(self: Figure, renderer: Any) -> None:
        drawn.append(self)
        draw(self, renderer)

    monkeypatch.setattr(Figure, "draw", counted)
    write_figure(tmp_path / "line.png", figure)
    shown = pixels(figure).copy()
    assert len(drawn) == 1
    assert (np.asarray(Image.open(tmp_path / "line.png")) == shown).all()
    figure.suptitle("changed")
    assert not np.array_equal(pixels(figure), shown)
    assert len(drawn) == 2


def test_the_pixels_are_those_of_savefig() -> None:
    content = io.BytesIO()
    line().savefig(content, format="png")
    assert np.array_equal(pixels(line()), np.asarray(Image.open(content)))
