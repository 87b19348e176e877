import pytest
from hypothesis import given
from hypothesis import strategies as st

from pets.evaluation.figures.lr_curve import NEIGHBOURS, centred_mean, lr_curve_figure
from pets.schedule.lr_range import RULES, LRCurve, learning_rate


def drawn(losses: list[float]) -> tuple[str, list[str]]:
    """The title and the labels of the figure of a curve, which is drawn to the end."""
    lrs = [learning_rate(step, 100, 1e-7, 10) for step in range(len(losses))]
    figure = lr_curve_figure(LRCurve(lrs, losses, 100, 16))
    figure.canvas.draw_idle()
    figure.draw_without_rendering()
    (axes,) = figure.axes
    return axes.get_title("left"), [text.get_text() for text in axes.texts]


def test_every_suggestion_is_labelled_with_its_rule_and_rate() -> None:
    losses = [3.0 - 2 * min(max(step - 40, 0), 30) / 30 + (0.2 * max(step - 75, 0)) ** 2 for step in range(100)]
    title, labels = drawn(losses)
    assert title == "LR range test, 16 images a step"
    assert sorted(label.split()[0] for label in labels) == sorted(RULES)


@pytest.mark.parametrize("losses", [[], [3.0], [3.0] * 20, [3.0] * 100])
def test_a_curve_that_says_nothing_says_why(losses: list[float]) -> None:
    title, _ = drawn(losses)
    assert title.startswith("LR range test\nno reliable suggestion: ")


@given(losses=st.lists(st.floats(0, 100), min_size=1, max_size=60))
def test_the_line_runs_through_the_points(losses: list[float]) -> None:
    line = centred_mean(losses)
    assert (line[0], line[-1]) == (losses[0], losses[-1])
    for i, value in enumerate(line):
        near = losses[max(i - NEIGHBOURS, 0) : i + NEIGHBOURS + 1]
        assert min(near) - 1e-9 <= value <= max(near) + 1e-9


def test_the_line_does_not_trail_behind_a_descent() -> None:
    assert centred_mean([10.0 - step for step in range(20)]) == pytest.approx([10.0 - step for step in range(20)])


def test_a_legend_tells_the_line_from_the_average_that_the_rules_read() -> None:
    lrs = [learning_rate(step, 100, 1e-7, 10) for step in range(100)]
    (legend,) = lr_curve_figure(LRCurve(lrs, [3.0] * 100, 100, 16)).legends
    assert [text.get_text() for text in legend.get_texts()] == ["a step", "mean of neighbours", "mean of all before"]
