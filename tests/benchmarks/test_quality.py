from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import quality
from benchmarks.images import paint_photograph
from benchmarks.oracle import View


@pytest.fixture
def routes_without_fastai(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality.rivals, "available", lambda: False)


@pytest.mark.usefixtures("routes_without_fastai")
def test_every_route_shows_the_same_view_and_the_chain_is_the_softest() -> None:
    square = quality.centre_square(paint_photograph(np.random.default_rng(0), 200, 180))
    values = quality.decibels(square, View.draw(np.random.default_rng(3)))
    assert min(values.values()) > 25, "a route shows another view"
    assert min(values, key=values.__getitem__) == quality.CHAIN


@pytest.mark.usefixtures("routes_without_fastai")
def test_the_picture_holds_a_tile_a_route_and_the_oracle(tmp_path: Path) -> None:
    quality.picture(tmp_path / "sharpness.png", side=10, enlarge=5, columns=2)
    with Image.open(tmp_path / "sharpness.png") as sheet:
        tiles = [sheet.crop((12 + x, 30 + y, 62 + x, 80 + y)) for y in (0, 92, 184) for x in (0, 62)]
    assert all(len(tile.getcolors(2500) or ()) > 10 for tile in tiles[:5])
    assert tiles[5].getcolors(1) == [(2500, (255, 255, 255))], "four routes and the oracle"
