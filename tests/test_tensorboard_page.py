"""TensorBoard as a person sees it: a sweep's folder in a real browser."""

from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig
from PIL import Image

from pets.tasks import fit

pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
from benchmarks import screenshots

pytestmark = [
    pytest.mark.skipif(screenshots.CHROMIUM is None, reason="there is no Chromium on this machine"),
    # Playwright's own event loop and pipes are closed by its process, not by us.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"),
]


@pytest.fixture
def sweep(tmp_path: Path, tiny_config: Callable[..., DictConfig]) -> Path:
    """Folder of two runs."""
    for job, base_lr in {"slow_job": 0.001, "fast_job": 0.003}.items():
        options = ["lr_finder=report", "lr_finder.num_steps=30", "trainer.log_every_n_steps=1"]
        fit.run(tiny_config(f"run_dir={tmp_path / job}", f"recipe.base_lr={base_lr}", *options))
    return tmp_path


def test_the_pages_show_runs_curves_figures_and_hparams(sweep: Path, tmp_path: Path) -> None:
    with screenshots.tensorboard(sweep) as open_page:
        page = open_page("scalars")
        screenshots.sees(page, "lr/head")
        screenshots.filter_tags(page, "valid/error_rate")
        screenshots.sees(page, "valid/error_rate", "slow_job", "fast_job")

        page = open_page("custom_scalars")
        screenshots.sees(page, "loss of training and validation", "Matches (4)", "error rate", "Matches (2)")

        page = open_page("images")
        screenshots.sees(page, "view/first_batch", "view/lr_finder")
        screenshots.filter_tags(page, "confusion")
        screenshots.sees(page, "view/valid/confusion")

        page = open_page("hparams")
        screenshots.sees(page, "recipe.base_lr", "0.0010000", "0.0030000", "valid/error_rate")
        screenshots.sort_hparams(page, "recipe.base_lr")
        screenshots.take(page, tmp_path / "hparams.png", 400)
    with Image.open(tmp_path / "hparams.png") as picture:
        assert picture.size == (screenshots.WIDTH, 400)
