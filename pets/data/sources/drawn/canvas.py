"""What the demo set is drawn with: smooth outlines, and a canvas that shapes are painted on.

Outlines are arrays (n, 2) in head units: the centre of the head is (0, 0), its radius about 1, y points down.
"""

from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageChops, ImageDraw

Colour = tuple[int, int, int]


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Return `a` with a share of `b` in it."""
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


def ellipse(x: float, y: float, rx: float, ry: float) -> np.ndarray:
    """Return the outline (48, 2) of an ellipse."""
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1)


def curve(*points: tuple[float, float]) -> np.ndarray:
    """Return a smooth closed outline through the points (a Catmull-Rom spline), ten vertices from one to the next."""
    p1 = np.array(points)[:, None]
    p0, p2, p3 = np.roll(p1, 1, axis=0), np.roll(p1, -1, axis=0), np.roll(p1, -2, axis=0)
    t = np.linspace(0, 1, 10, endpoint=False)[None, :, None]
    spline: np.ndarray = p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
    return spline.reshape(-1, 2)


def mirrored(*points: tuple[float, float]) -> np.ndarray:
    """Return a smooth outline that is symmetric about the vertical axis, given its right half from top to bottom."""
    return curve(*points, *((-x, y) for x, y in reversed(points) if x))


def blob(rng: np.random.Generator, x: float, y: float, r: float) -> np.ndarray:
    """Return an irregular round outline."""
    angles = np.linspace(0, 2 * np.pi, 9, endpoint=False)
    radii = r * rng.uniform(0.75, 1.25, size=9)
    return curve(*zip(x + radii * np.cos(angles), y + radii * np.sin(angles), strict=True))


class Canvas:
    """An image that shapes in head units are painted on.

    Args:
        background: The image to paint on, already supersampled.
        centre: Where the head is, in pixels.
        radius: The head's radius in pixels.
        tilt: Rotation of the head in degrees.
    """

    def __init__(self, background: Image.Image, centre: tuple[float, float], radius: float, tilt: float) -> None:
        self.image = background
        self.animal = Image.new("L", background.size)
        cos, sin = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
        self._matrix = radius * np.array([[cos, sin], [-sin, cos]])
        self._centre = np.array(centre)
        self.radius = radius

    def pixels(self, outline: np.ndarray) -> list[tuple[float, float]]:
        """Map points in head units to pixels."""
        return [(x, y) for x, y in (outline @ self._matrix + self._centre).tolist()]

    def mask(self, outlines: Iterable[np.ndarray]) -> Image.Image:
        """Return a mask of the inside of the outlines."""
        mask = Image.new("L", self.image.size)
        draw = ImageDraw.Draw(mask)
        for outline in outlines:
            draw.polygon(self.pixels(outline), fill=255)
        return mask

    def fur(self, outline: np.ndarray, colour: Colour) -> Image.Image:
        """Paint a part of the animal and return its mask."""
        mask = self.mask([outline])
        self.image.paste(colour, mask=mask)
        self.animal = ImageChops.lighter(self.animal, mask)
        return mask

    def markings(self, outlines: Iterable[np.ndarray], colour: Colour, within: Image.Image) -> None:
        """Paint shapes inside a mask only."""
        self.image.paste(colour, mask=ImageChops.multiply(self.mask(outlines), within))

    def shape(self, outline: np.ndarray, colour: Colour) -> None:
        """Paint a shape."""
        ImageDraw.Draw(self.image).polygon(self.pixels(outline), fill=colour)

    def line(self, points: np.ndarray, colour: Colour, width: float) -> None:
        """Paint a line; its width is in head units."""
        pixels = max(1, round(width * self.radius))
        ImageDraw.Draw(self.image).line(self.pixels(points), fill=colour, width=pixels, joint="curve")
