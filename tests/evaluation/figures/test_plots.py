from collections.abc import Callable

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from pets.evaluation.figures.classes import precision_recall_figure, recall_figure, worst_classes
from pets.evaluation.figures.confusion import confusion_figure
from pets.evaluation.figures.reliability import reliability_figure
from pets.evaluation.predictions import Predictions
from pets.evaluation.report import report
from pets.model.metrics import reliability_bins
from tests.evaluation.conftest import FromCounts

MATRIX = np.array([[5, 2, 0], [3, 4, 0], [0, 0, 0]])
NAMES = ["Birman", "american_pit_bull_terrier", "pug"]


def draw(figure: Figure) -> np.ndarray:
    """Render and return the pixels, checking that nothing reaches beyond the figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn, (width, height) = figure.get_tightbbox(canvas.get_renderer()), figure.get_size_inches()
    assert min(drawn.x0, drawn.y0, width - drawn.x1, height - drawn.y1) > -0.01
    return np.asarray(canvas.buffer_rgba())


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_confusion_shows_counts_of_nonzero_cells_only() -> None:
    figure = confusion_figure(MATRIX, NAMES)
    draw(figure)
    (axes,) = figure.axes
    cells = {(text.get_position()[::-1]): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "5", (0, 1): "2", (1, 0): "3", (1, 1): "4"}
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "Birman (7)",
        "american_pit_bull_terrier (7)",
        "pug (0)",
    ]
    assert axes.get_title(loc="left").startswith("5 of 14 wrong")


def test_confusion_in_per_cent_and_clustered_order() -> None:
    matrix = np.array([[6, 0, 2], [0, 8, 0], [4, 0, 4]])
    axes = confusion_figure(matrix, ["a", "b", "c"], normalise=True, clustered=True).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "c", "b"]
    assert [text.get_text() for text in axes.texts] == ["75", "25", "50", "50", "100"]


def test_confusion_colours_show_the_off_diagonal() -> None:
    matrix = np.diag([500, 500, 500])
    matrix[0, 1], matrix[1, 2] = 1, 4
    pixels = confusion_figure(matrix, NAMES).axes[0].images[0].get_array()
    assert pixels is not None
    whiteness = pixels[..., :3].min(axis=-1)
    assert whiteness[1, 2] < whiteness[0, 1] < 0.9
    assert whiteness[2, 0] == 1.0
    assert pixels[0, 0, 2] > pixels[0, 0, 0], "correct is blue"
    assert pixels[0, 1, 0] > pixels[0, 1, 2], "wrong is orange"


def test_37_classes_fit_and_cells_hold_their_numbers() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.integers(0, 2, (37, 37)) + np.diag(rng.integers(50, 99, 37))
    figure = confusion_figure(matrix, [f"american_pit_bull_terrier_{index}" for index in range(37)])
    draw(figure)
    (axes,) = figure.axes
    cell = axes.get_window_extent().width / 37
    assert max(text.get_window_extent().width for text in axes.texts) < cell
    assert max(label.get_window_extent().width for label in axes.get_xticklabels()) < cell


def test_reliability_and_class_figures_hold_their_labels(make_from_counts: FromCounts) -> None:
    made = make_from_counts(MATRIX)
    reliability = reliability_figure(reliability_bins(made.probabilities, made.targets))
    assert {"accuracy", "images", "Reliability of 14 predictions, ECE 0.290"} <= set(texts(reliability))
    recall = recall_figure(report(made))
    labels = [label.get_text() for label in recall.axes[0].get_yticklabels()]
    assert labels == ["b (7)", "a (7)"], "worst first, absent classes left out"
    made = make_from_counts(2 * MATRIX)
    curves = precision_recall_figure(made, k=1)
    legend = [text.get_text() for text in curves.legends[0].get_texts()]
    assert legend == [f"{5 / 7 * 5 / 8 + 2 / 7 * 7 / 14:.2f}  a (14)"], "average precision by hand, worst class"
    line = curves.axes[0].lines[0]
    np.testing.assert_allclose(np.asarray(line.get_xydata()), [[1, 7 / 14], [5 / 7, 5 / 8], [0, 5 / 8]], rtol=1e-6)
    for figure in (reliability, recall, curves):
        draw(figure)


def test_curves_of_precision_and_recall_need_ten_images(make_from_counts: FromCounts) -> None:
    made = make_from_counts(np.array([[9, 1, 0], [0, 9, 0], [0, 2, 8]]))
    assert set(worst_classes(made, 3)) == {0, 2}, "the class of nine is left out"


@pytest.mark.parametrize(("normalise", "wrong"), [(False, "images"), (True, "% of the class")])
def test_a_legend_says_what_the_colours_are(normalise: bool, wrong: str) -> None:
    (legend,) = confusion_figure(MATRIX, NAMES, normalise=normalise).legends
    said = [text.get_text() for text in legend.get_texts()]
    assert said == ["right: darker for more of the class", f"wrong: darker for more {wrong}"]


def test_figures_do_not_depend_on_the_users_settings() -> None:
    expected = draw(confusion_figure(MATRIX, NAMES))
    with matplotlib.rc_context({"font.size": 20, "figure.dpi": 50}):
        np.testing.assert_array_equal(draw(confusion_figure(MATRIX, NAMES)), expected)


@pytest.mark.parametrize(
    "make",
    [
        lambda made: confusion_figure(MATRIX, NAMES),
        lambda made: reliability_figure(reliability_bins(made.probabilities, made.targets)),
    ],
    ids=["confusion", "reliability"],
)
def test_figures_leave_no_global_state(make: Callable[[Predictions], Figure], make_from_counts: FromCounts) -> None:
    before = dict(matplotlib.rcParams)
    draw(make(make_from_counts(MATRIX)))
    assert plt.get_fignums() == []
    assert dict(matplotlib.rcParams) == before
