"""A sweep's picture: numbers are an axis, words are rows, every job has its interval."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from pets.evaluation.figures.sweep import sweep_figure
from pets.evaluation.intervals import wilson


def drawn(figure: Figure) -> tuple[list[str], list[str], list[str]]:
    """Return the labels of both axes' ticks and the legend."""
    figure.draw_without_rendering()
    (axes,) = figure.axes
    x, y = ([tick.get_text() for tick in ticks] for ticks in (axes.get_xticklabels(), axes.get_yticklabels()))
    return x, y, [text.get_text() for text in figure.legends[0].get_texts()]


def test_numbers_are_an_axis_with_every_setting_on_it() -> None:
    errors = {rate: [wilson(wrong, 100)] for rate, wrong in (("0.0003", 9), ("0.003", 5), ("0.03", 20))}
    figure = sweep_figure(errors, "recipe.base_lr")
    x, _, legend = drawn(figure)
    assert x == ["0.0003", "0.003", "0.03"]
    assert figure.axes[0].get_xscale() == "log"
    assert legend == ["a job, 95% interval"], "without repeats no means"
    interval = np.asarray(figure.axes[0].lines[0].get_ydata())
    assert list(interval) == [100 * wilson(9, 100).low, 100 * wilson(9, 100).high]


def test_settings_close_to_each_other_stand_on_a_linear_axis() -> None:
    errors = {size: [wilson(5, 100)] for size in ("0", "192", "224")}
    assert sweep_figure(errors, "augment.size").axes[0].get_xscale() == "linear"


def test_words_are_rows_the_lowest_error_first_with_the_mean_of_repeats() -> None:
    errors = {"resnet18": [wilson(10, 100), wilson(14, 100)], "resnet34": [wilson(5, 100)]}
    figure = sweep_figure(errors, "model")
    _, y, legend = drawn(figure)
    assert y == ["resnet34", "resnet18"]
    assert legend == ["mean of a setting", "a job, 95% interval"]
    assert figure.axes[0].yaxis_inverted()
    ink = [np.asarray(line.get_xdata()) for line in figure.axes[0].lines if line.get_color() == "#222222"]
    means = [x[0] for x in ink if len(x)]
    assert means == pytest.approx([5, 12])


def test_what_varied_is_not_cut_however_few_the_rows_are() -> None:
    errors = {"16, 0.001, resnet18": [wilson(10, 100)], "10000, 0.01, resnet34": [wilson(5, 100)]}
    figure = sweep_figure(errors, "data.batch_size, recipe.base_lr, model, recipe.phases.1.pct_start")
    figure.draw_without_rendering()
    assert "recipe.base_lr" in figure.axes[0].get_title(loc="left")
    box = figure.get_tightbbox()
    assert min(box.x0, box.y0) >= 0
    assert box.x1 <= figure.get_figwidth()
    assert box.y1 <= figure.get_figheight()
