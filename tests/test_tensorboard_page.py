"""TensorBoard as a person sees it: a sweep's folder in a real browser."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from pets.tasks import fit

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
    # Playwright's own event loop and pipes are closed by its process, not by us.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"),
]
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
WAIT = 90_000
"""Milliseconds for a page to show what it should, on a machine that may be busy."""


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sweep")


@pytest.fixture
def page_of(sweep: Path, tiny_config: Callable[..., DictConfig]) -> Iterator[Callable[[str], Any]]:
    """A function that opens one tab of a TensorBoard that shows two runs."""
    for job, base_lr in {"slow_job": 0.001, "fast_job": 0.003}.items():
        if not (sweep / job).exists():
            finder = ["lr_finder=report", "lr_finder.num_steps=30"]
            fit.run(
                tiny_config(
                    f"run_dir={sweep / job}", f"recipe.base_lr={base_lr}", "trainer.log_every_n_steps=1", *finder
                )
            )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "tensorboard.main",
        "--logdir",
        str(sweep),
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
    ]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with playwright.sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            page = browser.new_page(viewport={"width": 1400, "height": 1000})

            def open_tab(name: str) -> Any:
                for attempt in range(60):
                    try:
                        page.goto(f"http://127.0.0.1:{port}/?attempt={attempt}#{name}")
                        break
                    except playwright.Error:  # the server is not up yet
                        page.wait_for_timeout(1000)
                return page

            yield open_tab
            browser.close()
    finally:
        server.terminate()
        server.wait()


def sees(page: Any, *texts: str) -> None:
    """Wait until the page shows each text."""
    for text in texts:
        page.get_by_text(text).first.wait_for(state="attached", timeout=WAIT)


def shows_tag(page: Any, tag: str) -> None:
    """Filter the tags of the tab, whose later groups are folded, and wait until the one is there."""
    page.locator("tf-tag-filterer input >> visible=true").first.fill(tag)
    sees(page, tag)


def test_the_tabs_show_runs_figures_and_hparams(page_of: Callable[[str], Any], sweep: Path) -> None:
    page = page_of("scalars")
    sees(page, "lr/head")
    shows_tag(page, "valid/error_rate")
    sees(page, "slow_job", "fast_job")
    page.screenshot(path=sweep / "scalars.png")

    page = page_of("images")
    sees(page, "lr_finder/curve")
    shows_tag(page, "confusion")
    page.screenshot(path=sweep / "images.png")

    page = page_of("hparams")
    sees(page, "recipe.base_lr", "0.0010000", "0.0030000", "valid/error_rate")
    page.screenshot(path=sweep / "hparams.png")
