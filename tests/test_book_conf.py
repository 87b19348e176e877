"""The book's experiments are what its tables were made with: phases, rates and precision as in fastai."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig

from pets.schedule.recipe import Recipe

CONF = Path(__file__).parents[1] / "conf"


def composed(name: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=["run_dir=run", f"experiment={name}"])


FINE_TUNE = (0.99, 25, 1e5), (0.3, 5, 1e5)
FIT_ONE_CYCLE = (0.25, 25, 1e5), (0.25, 25, 1e5)
"""pct_start, div and div_final of the frozen and the unfrozen phase: fastai's arguments and defaults."""


@pytest.mark.parametrize(
    ("name", "arch", "epochs", "frozen_lrs", "unfrozen_lrs", "shapes"),
    [
        ("baseline", "resnet34", (1, 2), (2e-4, 2e-4, 2e-3), (1e-5, 1e-4, 1e-3), FINE_TUNE),
        ("high_lr", "resnet34", (1, 1), (0.01, 0.01, 0.1), (5e-4, 5e-3, 0.05), FINE_TUNE),
        ("lr_find", "resnet34", (1, 2), (3e-4, 3e-4, 3e-3), (1.5e-5, 1.5e-4, 1.5e-3), FINE_TUNE),
        ("unfreeze", "resnet34", (3, 6), (3e-3, 3e-3, 3e-3), (1e-5, 1e-5, 1e-5), FIT_ONE_CYCLE),
        ("discriminative", "resnet34", (3, 12), (3e-3, 3e-3, 3e-3), (1e-6, 1e-5, 1e-4), FIT_ONE_CYCLE),
        ("resnet50", "resnet50", (3, 6), (2e-4, 2e-4, 2e-3), (1e-5, 1e-4, 1e-3), FINE_TUNE),
    ],
)
def test_phases_are_the_books(
    name: str,
    arch: str,
    epochs: tuple[int, int],
    frozen_lrs: tuple[float, ...],
    unfrozen_lrs: tuple[float, ...],
    shapes: tuple[tuple[float, ...], ...],
) -> None:
    cfg = composed(f"book_{name}")
    recipe: Recipe = instantiate(cfg.recipe, _convert_="all")
    assert cfg.model.arch == arch
    assert [phase.frozen for phase in recipe.phases] == [True, False]
    assert tuple(phase.epochs for phase in recipe.phases) == epochs
    for phase, lrs, shape in zip(recipe.phases, (frozen_lrs, unfrozen_lrs), shapes, strict=True):
        assert tuple(phase.group_lrs().values()) == pytest.approx(lrs)
        assert (phase.pct_start, phase.div, phase.div_final) == shape
        assert phase.momenta == (0.95, 0.85, 0.95)


@pytest.mark.parametrize("path", sorted(CONF.glob("experiment/book_*.yaml")), ids=lambda path: path.stem)
def test_data_augmentation_and_split_are_the_books(path: Path) -> None:
    cfg = composed(path.stem)
    assert cfg.model.weights == "IMAGENET1K_V1"
    assert (cfg.data.batch_size, cfg.data.presize.size, cfg.augment.size, cfg.augment.min_scale) == (64, 460, 224, 0.75)
    assert (cfg.data.split.method, cfg.data.split.valid_pct, cfg.data.split.seed) == ("random", 0.2, 42)
    assert (cfg.data.presize.method, cfg.data.presize.interpolation) == ("crop", "bilinear")
    assert cfg.model.frozen_bn == "train"
    assert (cfg.trainer.precision == "16-mixed") == (path.stem == "book_resnet50")
    assert bool(cfg.lr_finder) == (path.stem == "book_lr_find")


@pytest.mark.parametrize("path", sorted(CONF.glob("experiment/book_*.yaml")), ids=lambda path: path.stem)
def test_the_head_comment_names_the_chapter_and_the_printed_errors(path: Path) -> None:
    comment = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("# ")][1:]
    assert comment[0].startswith("# The fastai book, chapter 5")
    assert "error rate 0." in " ".join(line.removeprefix("# ") for line in comment)
