"""The demo set: the same for the same seed, complete or absent, and not to be told apart by colour alone."""

import threading
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pets.data.labels import RegexLabeller, Vocab
from pets.data.rng import Stream, generator
from pets.data.sources.drawn.animal import COATS
from pets.data.sources.drawn.canvas import blob, curve, ellipse, mirrored
from pets.data.sources.drawn.demo_set import BREEDS, DemoSet
from pets.data.sources.drawn.photograph import paint_photograph


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoSet:
    """A small set; never written to by a test."""
    source = DemoSet(tmp_path_factory.mktemp("demo"), per_breed=5)
    source.prepare()
    return source


def test_the_set_is_what_it_says(demo: DemoSet) -> None:
    listing = demo.listing()
    labels = RegexLabeller()(listing.files)
    assert not listing.ignored
    assert {breed.name: labels.count(breed.name) for breed in BREEDS} == dict.fromkeys(Vocab.from_labels(labels), 5)
    assert "spotted_terrier_5.jpg" in listing.files
    for file in listing.files:
        with Image.open(demo.root / file) as image:
            assert (image.format, image.mode) == ("JPEG", "RGB")
            assert all(200 <= side <= 500 for side in image.size)
            assert image.width != image.height


def test_an_image_depends_on_its_position_alone(demo: DemoSet) -> None:
    image = paint_photograph(BREEDS[3], generator(0, Stream.DEMO, 3, 1))
    with Image.open(demo.root / f"{BREEDS[3].name}_2.jpg") as drawn:
        assert drawn.size == image.size
        assert np.abs(np.asarray(drawn, dtype=int) - np.asarray(image)).mean() < 6


def test_the_same_seed_draws_the_same_bytes(tmp_path: Path, demo: DemoSet) -> None:
    again, other = DemoSet(tmp_path, per_breed=2), DemoSet(tmp_path, seed=1, per_breed=2)
    again.prepare()
    other.prepare()
    for file in again.listing().files:
        assert (again.root / file).read_bytes() == (demo.root / file).read_bytes()
        assert (again.root / file).read_bytes() != (other.root / file).read_bytes()


def test_a_finished_set_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = DemoSet(tmp_path, per_breed=2)
    source.prepare()
    monkeypatch.setattr("pets.data.sources.drawn.photograph.paint_photograph", None)
    DemoSet(tmp_path, per_breed=2).prepare()
    assert len({DemoSet(tmp_path, seed, per_breed).root for seed in (0, 1) for per_breed in (2, 3)}) == 4


def test_an_interrupted_set_does_not_appear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = DemoSet(tmp_path, per_breed=2)
    with monkeypatch.context() as patch:
        patch.setattr("pets.data.sources.drawn.demo_set.BREEDS", (*BREEDS[:2], None, *BREEDS[3:]))
        with pytest.raises(AttributeError):
            source.prepare()
    assert not source.root.exists()
    source.prepare()
    assert len(source.listing().files) == 2 * len(BREEDS)
    assert [entry.name for entry in tmp_path.iterdir() if not entry.name.startswith(".")] == [source.root.name]


def test_several_may_prepare_at_once(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def prepare() -> None:
        try:
            DemoSet(tmp_path, per_breed=2).prepare()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=prepare) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(DemoSet(tmp_path, per_breed=2).listing().files) == 2 * len(BREEDS)


def test_breeds_share_every_trait_and_differ_in_the_combination() -> None:
    traits = [astuple(breed)[1:4] for breed in BREEDS]
    assert len(set(traits)) == len(BREEDS)
    for values in zip(*traits, strict=True):
        assert min(values.count(value) for value in values) >= 2
    coats = [coat for breed in BREEDS for coat in breed.coats]
    assert min(coats.count(coat) for coat in COATS) >= 3


def test_colour_alone_does_not_tell_the_breed(demo: DemoSet) -> None:
    files = demo.listing().files
    labels = np.array(RegexLabeller()(files))
    colours = []
    for file in files:
        with Image.open(demo.root / file) as image:
            colours.append(np.asarray(image.resize((4, 4), Image.Resampling.BOX), dtype=float).reshape(-1))
    distances = np.linalg.norm(np.array(colours)[:, None] - np.array(colours)[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert np.mean(labels[distances.argmin(axis=1)] != labels) > 0.5


@pytest.mark.parametrize(("options", "key"), [({"seed": -1}, "seed=-1"), ({"per_breed": 1}, "per_breed=1")])
def test_options_out_of_range(tmp_path: Path, options: dict[str, int], key: str) -> None:
    with pytest.raises(ValueError, match=rf"data\.source\.{key} is not allowed: a whole number, at least"):
        DemoSet(tmp_path, **options)


def test_outlines() -> None:
    corners = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))
    assert np.allclose(curve(*corners)[::10], corners)
    outline = mirrored((0.0, -1.0), (0.8, 0.1), (0.0, 1.0))
    assert np.allclose(sorted(map(tuple, outline.round(9))), sorted(map(tuple, (outline * (-1, 1)).round(9) + 0.0)))
    assert np.allclose(np.hypot(*(ellipse(2, 3, 0.5, 0.5) - (2, 3)).T), 0.5)
    radii = np.hypot(*blob(np.random.default_rng(0), 1, 1, 2.0).T - 1)
    assert 1.2 < radii.min() < radii.max() < 3
