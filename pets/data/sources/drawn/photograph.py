"""Draws the images of the demo set: an animal in front of a background, photographed."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from pets.data.sources.drawn.animal import Breed, paint_animal
from pets.data.sources.drawn.canvas import Canvas, Colour, mix

SIZE = (200, 500)
"""Range of the width and of the height, in pixels."""
HEAD = (0.25, 0.33)
"""Range of the head's radius, as a share of the short side."""
SHIFT = 0.06
"""How far the head may be off the centre, as a share of the short side."""
TILT = 14.0
"""How far the head may be tilted to either side, in degrees."""
LIGHT = (0.75, 1.15)
"""Range of the brightness."""
NOISE = (1.0, 8.0)
"""Range of the standard deviation of the sensor's noise, in grey levels."""
BLUR = 0.9
"""Largest radius of the lens's blur, in pixels."""

_SUPERSAMPLING = 2


def paint_photograph(breed: Breed, rng: np.random.Generator) -> Image.Image:
    """Draw one image of a breed: RGB, its sides in the range `SIZE` and unequal."""
    width, height = rng.choice(np.arange(SIZE[0], SIZE[1] + 1), size=2, replace=False).tolist()
    short = min(width, height)
    centre = np.array([width / 2, height / 2]) + rng.uniform(-SHIFT, SHIFT, size=2) * short
    canvas = Canvas(
        _background(rng, width, height).resize(
            (width * _SUPERSAMPLING, height * _SUPERSAMPLING), Image.Resampling.BILINEAR
        ),
        centre=(centre * _SUPERSAMPLING).tolist(),
        radius=rng.uniform(*HEAD) * short * _SUPERSAMPLING,
        tilt=rng.uniform(-TILT, TILT),
    )
    paint_animal(canvas, breed, rng)
    image, animal = canvas.image.reduce(_SUPERSAMPLING), canvas.animal.reduce(_SUPERSAMPLING)
    return _photograph(image, animal, canvas.radius / _SUPERSAMPLING, rng)


def _background(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Draw a gradient of two colours behind a few lights out of focus, at a quarter of the size."""
    width, height = width // 4, height // 4
    colours = [_pastel(rng) for _ in range(8)]
    angle = rng.uniform(0, 2 * np.pi)
    share = 0.5 + np.cos(angle) * _ramp(width)[None] + np.sin(angle) * _ramp(height)[:, None]
    gradient = Image.fromarray((np.clip(share, 0, 1) * 255).astype(np.uint8))
    image = Image.composite(
        Image.new("RGB", gradient.size, colours[0]), Image.new("RGB", gradient.size, colours[1]), gradient
    )
    draw = ImageDraw.Draw(image)
    for colour in colours[2:]:
        x, y = rng.uniform(size=2) * image.size
        r = rng.uniform(0.05, 0.2) * min(image.size)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=mix(colours[0], colour, 0.5))
    return image.filter(ImageFilter.GaussianBlur(min(image.size) / 30))


def _pastel(rng: np.random.Generator) -> Colour:
    grey = rng.uniform(90, 225)
    red, green, blue = np.clip(grey + rng.uniform(-32, 32, size=3), 0, 255).astype(int).tolist()
    return red, green, blue


def _ramp(n: int) -> np.ndarray:
    return np.linspace(-0.5, 0.5, n)


def _photograph(image: Image.Image, animal: Image.Image, radius: float, rng: np.random.Generator) -> Image.Image:
    """Add what a camera sees: roundness and texture of the fur, light, blur and noise."""
    width, height = image.size
    inside = np.asarray(animal, dtype=np.float32)[..., None] / 255
    # A blurred silhouette, moved away from the light, is dark towards the far edge of the animal.
    soft = np.asarray(animal.filter(ImageFilter.GaussianBlur(0.3 * radius)), dtype=np.float32)[..., None] / 255
    down, across = round(0.25 * radius), round(rng.uniform(-0.3, 0.3) * radius)
    soft = soft[np.clip(np.arange(height) + down, 0, height - 1)][:, np.clip(np.arange(width) + across, 0, width - 1)]
    shade = 0.62 + 0.42 * soft
    texture = 1 + 0.03 * _smooth_noise(rng, width, height, max(1, round(radius / 25)))
    pixels = np.asarray(image, dtype=np.float32) * (1 + inside * (shade * texture - 1))

    slope = _ramp(width)[None, :, None] * rng.uniform(-0.3, 0.3) + _ramp(height)[:, None, None] * rng.uniform(-0.3, 0.3)
    tone = 1 + rng.uniform(-0.06, 0.06, size=3)
    pixels = pixels * (1 + slope) * tone * rng.uniform(*LIGHT)
    lit = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(rng.uniform(0, BLUR))
    )
    noise = rng.uniform(*NOISE) * rng.standard_normal((height, width, 3), dtype=np.float32)
    return Image.fromarray(np.clip(np.asarray(lit) + noise, 0, 255).astype(np.uint8))


def _smooth_noise(rng: np.random.Generator, width: int, height: int, grain: int) -> np.ndarray:
    """Return normal noise (height, width, 1) with grains of that many pixels."""
    coarse = rng.standard_normal((height // grain + 1, width // grain + 1), dtype=np.float32)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))[..., None]
