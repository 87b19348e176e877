import pytest

from pets.evaluation.figures.lr_curve import lr_curve_figure
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
