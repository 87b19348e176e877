"""Paints one animal of the demo set onto a canvas: what its breed decides, and how individuals differ."""

from dataclasses import dataclass

import numpy as np

from pets.data.sources.drawn.canvas import Canvas, Colour, blob, curve, ellipse, mirrored, mix

TURN = 0.13
"""How far the face may be turned aside, in head units."""
TINT = 10.0
"""How far the colours of an individual's coat may be off, in grey levels of each channel."""

COATS: dict[str, tuple[Colour, Colour]] = {
    "ginger": ((224, 150, 82), (148, 74, 32)),
    "silver": ((184, 188, 196), (82, 86, 98)),
    "sand": ((230, 204, 160), (138, 98, 62)),
    "chocolate": ((158, 116, 84), (74, 46, 34)),
    "snow": ((240, 234, 224), (92, 80, 78)),
}
"""The colours of the fur and of its markings."""

_WHITE = (255, 255, 255)
_DARK = (38, 30, 30)
_PINK = (222, 150, 146)
_IRISES = ((214, 162, 50), (126, 160, 74), (96, 148, 182), (150, 96, 48))
_BODY = mirrored((0.0, 0.5), (0.62, 0.7), (1.0, 1.5), (1.3, 4.5), (0.0, 6.0))
_CAT_HEAD = mirrored((0.0, -0.8), (0.52, -0.74), (0.92, -0.3), (1.02, 0.22), (0.66, 0.7), (0.0, 0.86))
_DOG_HEAD = mirrored((0.0, -0.88), (0.5, -0.78), (0.82, -0.34), (0.8, 0.24), (0.58, 0.82), (0.0, 1.06))


@dataclass(frozen=True)
class Breed:
    """What makes a breed. It shares every trait with another breed; only the combination is its own."""

    name: str
    is_cat: bool
    ears: str
    """pointed, floppy or round."""
    pattern: str
    """spots, stripes, patches or mask."""
    coats: tuple[str, ...]
    """Keys of `COATS`; each image takes one."""


def paint_animal(canvas: Canvas, breed: Breed, rng: np.random.Generator) -> None:
    """Paint an animal of a breed: head, collar and as much of the body as the canvas shows."""
    coat = COATS[breed.coats[rng.integers(len(breed.coats))]]
    tint = rng.uniform(-TINT, TINT, size=3)
    fur, marking = (_tinted(colour, tint) for colour in coat)
    turn = rng.uniform(-TURN, TURN, size=2) * (1.0, 0.6)
    side = float(rng.choice((-1.0, 1.0)))

    body = canvas.fur(_BODY, mix(fur, _DARK, 0.12))
    canvas.markings(_body_markings(breed.pattern, rng), mix(marking, _DARK, 0.12), within=body)
    _paint_collar(canvas, rng)
    if breed.ears != "floppy":
        _paint_ears(canvas, breed, fur, marking, side)
    head = canvas.fur(_CAT_HEAD if breed.is_cat else _DOG_HEAD, fur)
    canvas.markings(_head_markings(breed.pattern, turn, side, rng), marking, within=head)
    if breed.ears == "floppy":
        _paint_ears(canvas, breed, fur, marking, side)
    _paint_face(canvas, breed, mix(marking if breed.pattern == "mask" else fur, _WHITE, 0.45), turn, rng)


def _tinted(colour: Colour, tint: np.ndarray) -> Colour:
    red, green, blue = np.clip(np.array(colour) + tint, 0, 255).astype(int).tolist()
    return red, green, blue


def _paint_collar(canvas: Canvas, rng: np.random.Generator) -> None:
    colour = _tinted((120, 120, 120), rng.uniform(-90, 90, size=3))
    canvas.shape(curve((-0.74, 0.86), (0.0, 1.2), (0.74, 0.86), (0.8, 1.02), (0.0, 1.4), (-0.8, 1.02)), colour)
    canvas.shape(ellipse(0.0, 1.38, 0.12, 0.12), (232, 196, 90))


def _paint_ears(canvas: Canvas, breed: Breed, fur: Colour, marking: Colour, side: float) -> None:
    """Paint both ears: dark in a masked breed, one of the two dark in a patched one."""
    for sign in (-1.0, 1.0):
        is_dark = breed.pattern == "mask" or (breed.pattern == "patches" and sign == side)
        colour = marking if is_dark else fur
        inner = mix(colour, _PINK, 0.6)
        mirror = np.array((sign, 1.0))
        if breed.ears == "pointed":
            canvas.fur(_pointed(0.0) * mirror, mix(colour, _DARK, 0.08))
            canvas.shape(_pointed(0.14) * mirror, inner)
        elif breed.ears == "round":
            canvas.fur(ellipse(0.68, -0.72, 0.4, 0.4) * mirror, mix(colour, _DARK, 0.08))
            canvas.shape(ellipse(0.66, -0.68, 0.25, 0.25) * mirror, inner)
        else:
            ear = curve((0.4, -0.82), (0.84, -0.74), (1.14, -0.2), (1.2, 0.44), (0.98, 0.62), (0.78, 0.24), (0.7, -0.3))
            canvas.fur(ear * mirror, mix(colour, _DARK, 0.2))


def _pointed(inset: float) -> np.ndarray:
    tip = np.array((0.86, -1.42 + 1.6 * inset))
    outer, inner = np.array((0.98 - inset, -0.1)), np.array((0.2 + inset, -0.72))
    t = np.linspace(0, 1, 8)[:, None]
    bulge = np.array((0.1, -0.02)) * np.sin(np.pi * t)
    return np.concatenate([outer + (tip - outer) * t + bulge, tip + (inner - tip) * t + bulge * (-0.4, 1.0)])


def _head_markings(pattern: str, turn: np.ndarray, side: float, rng: np.random.Generator) -> list[np.ndarray]:
    if pattern == "spots":
        return [blob(rng, x, y, rng.uniform(0.075, 0.12)) for x, y in _scattered(rng, 0.95, 26)]
    if pattern == "stripes":
        forehead = [_stripe(rng, angle, 0.5) for angle in (-130, -110, -90, -70, -50)]
        cheeks = [_stripe(rng, angle, 0.62) for angle in (-12, 10, 32, 148, 170, 192)]
        return forehead + cheeks
    if pattern == "patches":
        return [blob(rng, 0.45 * side, -0.3, 0.52), blob(rng, -0.7 * side, 0.45, 0.34)]
    shape = mirrored((0.0, -0.42), (0.3, -0.46), (0.68, -0.22), (0.62, 0.2), (0.5, 0.66), (0.0, 0.98))
    return [shape * rng.uniform(0.92, 1.08) + turn]


def _body_markings(pattern: str, rng: np.random.Generator) -> list[np.ndarray]:
    if pattern == "spots":
        return [blob(rng, x * 1.2, y * 1.4 + 2.4, rng.uniform(0.09, 0.14)) for x, y in _scattered(rng, 1.0, 30)]
    if pattern == "stripes":
        return [
            curve((-1.4, y + 0.1), (0.0, y + 0.3), (1.4, y + 0.1), (1.4, y + 0.2), (0.0, y + 0.44), (-1.4, y + 0.2))
            for y in (1.35, 1.7, 2.05, 2.4, 2.75)
        ]
    return [blob(rng, rng.uniform(-0.7, 0.7), 2.0, 0.55)] if pattern == "patches" else []


def _scattered(rng: np.random.Generator, radius: float, n: int) -> np.ndarray:
    """Return up to n points (k, 2) in a disc that keep their distance from one another."""
    points: list[np.ndarray] = []
    for point in rng.uniform(-radius, radius, size=(n * 8, 2)):
        if np.hypot(*point) < radius and all(np.hypot(*(point - other)) > 0.27 for other in points):
            points.append(point)
    return np.array(points[:n])


def _stripe(rng: np.random.Generator, angle: float, inner: float) -> np.ndarray:
    """Return a stripe that tapers from the head's edge towards the face."""
    angle = np.radians(angle + rng.uniform(-4, 4))
    along, across = np.array((np.cos(angle), np.sin(angle))), np.array((-np.sin(angle), np.cos(angle)))
    inner += rng.uniform(-0.06, 0.06)
    bend = rng.uniform(-0.05, 0.05)
    width = rng.uniform(0.05, 0.075)
    points = [(1.15, -width), (0.85, bend - width), (inner, bend), (0.85, bend + width), (1.15, width)]
    return np.array([along * r + across * a for r, a in points])


def _paint_face(canvas: Canvas, breed: Breed, muzzle: Colour, turn: np.ndarray, rng: np.random.Generator) -> None:
    # What stands out from the face moves further when the head turns: eyes 1, muzzle 1.5, nose 1.6 or more.
    iris = _IRISES[rng.integers(len(_IRISES))]
    if breed.is_cat:
        for x in (-0.2, 0.2):
            canvas.shape(ellipse(x, 0.46, 0.27, 0.22) + turn * 1.5, muzzle)
        canvas.shape(ellipse(0.0, 0.62, 0.2, 0.16) + turn * 1.5, muzzle)
        nose = curve((-0.13, 0.24), (0.0, 0.22), (0.13, 0.24), (0.0, 0.36))
        canvas.shape(nose + turn * 1.6, _PINK)
    else:
        canvas.shape(ellipse(0.0, 0.52, 0.46, 0.42) + turn * 1.5, muzzle)
        canvas.shape(ellipse(0.0, 0.28, 0.21, 0.15) + turn * 1.7, _DARK)
        canvas.shape(ellipse(-0.06, 0.23, 0.06, 0.03) + turn * 1.7, mix(_DARK, _WHITE, 0.5))
    _paint_mouth(canvas, breed.is_cat, turn * 1.6)
    for x in (-0.42, 0.42) if breed.is_cat else (-0.37, 0.37):
        _paint_eye(canvas, np.array((x, -0.1)) + turn, breed.is_cat, iris)
    if breed.is_cat:
        _paint_whiskers(canvas, turn * 1.5)


def _paint_eye(canvas: Canvas, centre: np.ndarray, is_cat: bool, iris: Colour) -> None:
    x, y = centre
    if is_cat:
        canvas.shape(ellipse(x, y, 0.23, 0.2), _DARK)
        canvas.shape(ellipse(x, y, 0.19, 0.165), iris)
        canvas.shape(ellipse(x, y, 0.07, 0.15), _DARK)
    else:
        canvas.shape(ellipse(x, y, 0.17, 0.17), _DARK)
        canvas.shape(ellipse(x, y, 0.135, 0.135), mix(iris, _DARK, 0.4))
        canvas.shape(ellipse(x, y, 0.09, 0.09), _DARK)
    canvas.shape(ellipse(x - 0.05, y - 0.06, 0.05, 0.05), _WHITE)
    canvas.shape(ellipse(x + 0.05, y + 0.05, 0.022, 0.022), _WHITE)


def _paint_mouth(canvas: Canvas, is_cat: bool, offset: np.ndarray) -> None:
    top, low = (0.33, 0.5) if is_cat else (0.4, 0.64)
    t = np.linspace(0, 1, 12)
    for sign in (-1.0, 1.0):
        smile = np.stack([sign * 0.26 * t, low + 0.1 * np.sin(np.pi * t)], axis=1)
        canvas.line(np.concatenate([[(0.0, top)], smile]) + offset, _DARK, 0.035)


def _paint_whiskers(canvas: Canvas, offset: np.ndarray) -> None:
    for sign in (-1.0, 1.0):
        for slope in (-0.12, 0.02, 0.16):
            canvas.line(np.array([(sign * 0.3, 0.45 + slope / 3), (sign * 1.1, 0.42 + slope)]) + offset, _WHITE, 0.015)
