import numpy as np

from pets.evaluation.figures.learning_curve import learning_curve_figure
from pets.evaluation.learning_curve import Curve, fit, forecast


def test_it_shows_every_size_and_the_forecast() -> None:
    wrong = np.random.default_rng(0).random((3, 2, 50)) < np.array([0.4, 0.3, 0.2])[:, None, None]
    curve = Curve((20, 40, 80), (0.9, 0.9, 0.9), wrong)
    law = fit(curve)
    expected = forecast(law, 160, 50)
    figure = learning_curve_figure(curve, law, expected)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    assert axes.get_title("left") == f"160 images: {expected.value:.1%} ({expected.low:.1%} to {expected.high:.1%})"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["20", "40", "80", "160"]
    mean = next(line for line in axes.lines if line.get_label() == "their mean")
    np.testing.assert_allclose(np.asarray(mean.get_ydata()), 100 * curve.errors.mean(axis=1))
