import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from pets.evaluation.figures.grids import augmentation_grid, image_grid, overlay, to_pixels, top_losses_figure, wrap
from tests.evaluation.conftest import MakePredictions


def written(figure: Figure) -> list[Text]:
    """The texts of a figure whose axes show no ticks."""
    texts = [*figure.texts, *(text for axes in figure.axes for text in (axes.title, *axes.texts))]
    return [text for text in texts if text.get_text()]


def assert_tidy(figure: Figure) -> None:
    """No two pictures overlap, and every text lies inside the figure and on no picture."""
    FigureCanvasAgg(figure).draw()
    pictures = [axes.get_window_extent() for axes in figure.axes]
    for number, picture in enumerate(pictures):
        assert not any(picture.overlaps(other) for other in pictures[number + 1 :])
    for box in (text.get_window_extent() for text in written(figure)):
        assert figure.bbox.contains(box.x0, box.y0)
        assert figure.bbox.contains(box.x1, box.y1)
        assert not any(box.overlaps(picture) for picture in pictures)


def test_image_grid_places_every_image_under_its_title() -> None:
    images = [torch.full((3, 10 + n, 20), n * 40, dtype=torch.uint8) for n in range(5)]
    titles = ["Birman", "american_pit_bull_terrier_and_more", "", "pug", "x" * 60]
    figure = image_grid(images, titles, columns=3, heading="First batch")
    assert len(figure.axes) == 5
    assert [float(np.asanyarray(axes.images[0].get_array())[0, 0, 0]) for axes in figure.axes] == pytest.approx(
        [n * 40 / 255 for n in range(5)]
    )
    shown = [text.get_text() for text in written(figure)]
    assert "american_pit_bull_\nterrier_and_more" in shown
    assert "First batch" in shown
    assert plt.get_fignums() == []


def test_image_grid_needs_a_title_an_image() -> None:
    with pytest.raises(ValueError, match="zip"):
        image_grid(torch.zeros(2, 3, 4, 4), ["one"])


def test_augmentation_grid_starts_with_the_original() -> None:
    figure = augmentation_grid(torch.zeros(3, 8, 8, dtype=torch.uint8), torch.rand(7, 3, 4, 4), "pug: pug_1.jpg")
    assert [axes.get_title() for axes in figure.axes] == ["original", *(f"view {n}" for n in range(1, 8))]


def test_top_losses_show_file_classes_probabilities_and_loss(make_predictions: MakePredictions) -> None:
    names = ["american_pit_bull_terrier", "staffordshire_bull_terrier"]
    made = make_predictions([[0.123, 0.877], [0.9, 0.1]], [0, 0], names)
    figure = top_losses_figure(made, np.array([0, 1]), torch.rand(2, 3, 8, 8), torch.rand(2, 8, 8))
    shown = [text.get_text() for text in written(figure)]
    assert len(figure.axes) == 4
    for expected in (
        "image_0.jpg",
        "loss 2.10",
        "actual: american_pit_bull_terrier",
        "12.3%",
        "predicted: staffordshire_bull_terrier",
        "87.7%",
        "Red: where it looked (Grad-CAM)",
    ):
        assert expected in shown


@pytest.mark.parametrize("n", [1, 4, 5])
def test_grids_are_tidy_with_long_names(make_predictions: MakePredictions, n: int) -> None:
    name = "a_class_name_that_is_much_longer_than_the_picture_under_it_is_wide_and_goes_on"
    images = torch.rand(n, 3, 8, 8)
    assert_tidy(image_grid(images, [name] * n, heading="heading"))
    made = make_predictions([[0.1, 0.9]] * n, [0] * n, [name, name.upper()])
    assert_tidy(top_losses_figure(made, np.arange(n), images, torch.rand(n, 8, 8)))


def test_overlay_is_the_image_without_heat_and_shades_of_red_with() -> None:
    pixels = to_pixels(torch.rand(3, 4, 4))
    cold, hot = overlay(pixels, np.zeros((4, 4), np.float32)), overlay(pixels, np.ones((4, 4), np.float32))
    np.testing.assert_allclose(cold, pixels)
    assert (hot[..., 0] > hot[..., 1]).all()
    light = pixels.mean(axis=2).ravel()
    assert np.corrcoef(light, hot[..., 0].ravel())[0, 1] == pytest.approx(1), "the animal stays visible"
    assert hot.min() >= 0
    assert hot.max() <= 1


def test_to_pixels_takes_bytes_and_floats() -> None:
    as_bytes = torch.tensor([[[0, 255]], [[51, 0]], [[0, 0]]], dtype=torch.uint8)
    expected: list[list[list[float]]] = [[[0, 0.2, 0], [1, 0, 0]]]
    assert to_pixels(as_bytes).tolist() == expected
    np.testing.assert_allclose(to_pixels(as_bytes / 255), expected, atol=1e-7)


def test_wrap_breaks_after_separators() -> None:
    assert wrap("american_pit_bull_terrier", 14) == ["american_pit_", "bull_terrier"]
    assert wrap("photos/pug 1-a.jpg", 8) == ["photos/", "pug 1-", "a.jpg"]
    assert wrap("abcdefgh", 3) == ["abc", "def", "gh"]
    assert wrap("", 5) == []


@given(text=st.text(st.sampled_from("ab_/- ."), max_size=40), width=st.integers(1, 12))
def test_wrap_loses_nothing(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert "".join(lines) == text
    assert all(0 < len(line) <= width for line in lines)
