"""Grids of images: with titles, one image augmented many times, the top losses beside their Grad-CAM.

Sizes are in inches and places are computed, so that neither the number of images nor long names disturb the grid.
"""

import re
from collections.abc import Sequence
from math import ceil, sqrt

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from pets.escape import printable
from pets.evaluation.figures.style import INK, MUTED, RIGHT, WRONG, styled
from pets.evaluation.predictions import Predictions

SIDE, GAP, LINE, HEADING = 1.9, 0.1, 0.145, 0.26
"""Side of an image, space between images, height of a line of text, height of the heading."""
LEGEND = "Red: where it looked (Grad-CAM)"
RED = (1.0, 0.25, 0.2)
TITLE_WIDTH, CAPTION_WIDTH = 25, 42
"""Characters in a line above one image, and above an image and its overlay."""


@styled
def image_grid(
    images: Sequence[Tensor] | Tensor,
    titles: Sequence[str],
    columns: int | None = None,
    heading: str = "",
    colours: Sequence[str] | None = None,
) -> Figure:
    """Draw images in a grid, each under its title; long titles break after underscores.

    Args:
        images: uint8, or float in [0, 1], of shape (3, H, W) each.
        titles: One an image; may be empty.
        columns: Images a row; about as many as rows if None.
        heading: A line above the whole.
        colours: The colour of each title.
    """
    columns = columns or ceil(sqrt(len(images)))
    wrapped = [wrap(title, TITLE_WIDTH) for title in titles]
    above = LINE * max(len(lines) for lines in wrapped) + GAP / 2
    figure = _figure(columns, ceil(len(images) / columns), SIDE, SIDE + above, heading)
    for place, (image, lines) in enumerate(zip(images, wrapped, strict=True)):
        axes = _picture(figure, divmod(place, columns), (SIDE, SIDE + above), (0, above), heading)
        axes.imshow(to_pixels(image))
        axes.set_title("\n".join(lines), fontsize=8, fontweight="normal", loc="center", pad=3)
        axes.title.set_color(colours[place] if colours else INK)
    return figure


def augmentation_grid(original: Tensor, views: Sequence[Tensor] | Tensor, heading: str, columns: int = 4) -> Figure:
    """Draw one image and, after it, many augmented views of it.

    Args:
        original: uint8, or float in [0, 1], (3, H, W).
        views: The same, (n, 3, H', W').
        heading: What the image is, such as its label and file.
        columns: Images a row.
    """
    titles = ["original", *(f"view {number}" for number in range(1, len(views) + 1))]
    return image_grid([original, *views], titles, columns, heading, [INK] + [MUTED] * len(views))


@styled
def top_losses_figure(
    predictions: Predictions, rows: NDArray[np.int64], images: Tensor, heats: Tensor, columns: int = 3
) -> Figure:
    """Draw images under their file, loss, classes and probabilities, each beside its Grad-CAM overlay.

    Args:
        predictions: What was inferred.
        rows: int64 (k,) rows of the predictions to draw, as from `top_losses`.
        images: (k, 3, H, W), uint8 or float in [0, 1], as the network saw them.
        heats: float32 (k, H, W) in [0, 1], as from `gradcam`.
        columns: Pairs of pictures a line.
    """
    captions = [_caption(predictions, row) for row in rows.tolist()]
    columns = min(columns, len(captions))
    above = LINE * max(len(lines) for lines in captions) + GAP / 2
    cell = (2 * SIDE + GAP / 3, SIDE + above)
    figure = _figure(columns, ceil(len(captions) / columns), *cell, LEGEND)
    for place, (image, heat, lines) in enumerate(zip(images, heats, captions, strict=True)):
        pixels = to_pixels(image)
        photo = _picture(figure, divmod(place, columns), cell, (0, above), LEGEND)
        photo.imshow(pixels)
        _write(photo, lines, cell[0] / SIDE)
        beside = _picture(figure, divmod(place, columns), cell, (cell[0] - SIDE, above), LEGEND)
        beside.imshow(overlay(pixels, heat.cpu().numpy()))
    return figure


def overlay(pixels: NDArray[np.float64], heat: NDArray[np.float32]) -> NDArray[np.float64]:
    """Tint pixels (H, W, 3) in [0, 1] red by a heat map (H, W) in [0, 1]; where it is 0 they stay as they are.

    Where it is 1 the image is still there, in shades of red.
    """
    strength = heat[..., None]
    shades = (0.3 + 0.7 * pixels.mean(axis=2, keepdims=True)) * np.array(RED)
    return np.asarray((pixels * (1 - strength) + shades * strength).clip(0, 1))


def to_pixels(image: Tensor) -> NDArray[np.float64]:
    """Turn an image (3, H, W), uint8 or float in [0, 1], into float64 (H, W, 3) in [0, 1]."""
    pixels = image.detach().cpu().movedim(0, -1)
    return np.asarray(pixels.double().div(1 if pixels.is_floating_point() else 255).clamp(0, 1).numpy())


def wrap(text: str, width: int) -> list[str]:
    """Break a text into lines of at most `width` characters, after underscores, slashes, hyphens or spaces."""
    lines: list[str] = []
    for word in re.findall(r"[^_/\- ]*[_/\- ]|[^_/\- ]+", printable(text)):
        for piece in (word[start : start + width] for start in range(0, len(word), width)):
            if lines and len(lines[-1]) + len(piece) <= width:
                lines[-1] += piece
            else:
                lines.append(piece)
    return lines


def _figure(columns: int, rows: int, width: float, height: float, heading: str) -> Figure:
    size = (columns * (width + GAP) + GAP, rows * (height + GAP) + GAP + (HEADING if heading else 0))
    figure = Figure(figsize=size)
    figure.set_layout_engine("none")
    if heading:
        figure.text(GAP / size[0], 1 - GAP / size[1], printable(heading), fontsize=11, fontweight="bold", va="top")
    return figure


def _picture(
    figure: Figure, place: tuple[int, int], cell: tuple[float, float], offset: tuple[float, float], heading: str = ""
) -> Axes:
    """Add the square axes that start `offset` (right, down) inside the cell at `place` (row, column)."""
    width, height = figure.get_size_inches()
    left = GAP + place[1] * (cell[0] + GAP) + offset[0]
    top = GAP + place[0] * (cell[1] + GAP) + offset[1] + (HEADING if heading else 0)
    axes = figure.add_axes((left / width, 1 - (top + SIDE) / height, SIDE / width, SIDE / height))
    axes.axis("off")
    return axes


def _caption(predictions: Predictions, row: int) -> list[tuple[str, str, str]]:
    """Return the lines (text, number, colour) above a picture of the top losses."""
    actual = predictions.classes[predictions.targets[row]]
    guess = predictions.classes[predictions.predicted[row]]
    blocks = [
        (predictions.files[row], f"loss {predictions.losses[row]:.2f}", MUTED),
        (f"actual: {actual}", f"{predictions.p_actual[row]:.1%}", INK),
        (f"predicted: {guess}", f"{predictions.confidence[row]:.1%}", RIGHT if predictions.correct[row] else WRONG),
    ]
    lines = []
    for text, number, colour in blocks:
        first, *others = wrap(str(text), CAPTION_WIDTH)
        lines += [(first, number, colour), *((other, "", colour) for other in others)]
    return lines


def _write(axes: Axes, lines: list[tuple[str, str, str]], right: float) -> None:
    """Write lines above axes, the numbers flush with `right`, in widths of the axes."""
    for above, (text, number, colour) in enumerate(reversed(lines)):
        y = 1 + (GAP / 3 + above * LINE) / SIDE
        axes.text(0, y, text, transform=axes.transAxes, fontsize=8, color=colour)
        axes.text(right, y, number, transform=axes.transAxes, fontsize=8, color=colour, ha="right")
