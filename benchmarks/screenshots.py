"""`python -m benchmarks.screenshots FOLDER [--out docs/images]`: TensorBoard's pages of a sweep's folder as pictures.

Needs the package playwright and a Chromium of the system.
"""

import argparse
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Error, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
WIDTH, HEIGHT = 1600, 1000
"""Of the window, in pixels; a picture is as high as what there is to see."""
WAIT = 90_000
"""Milliseconds for a page to show what it should, on a machine that may be busy."""


@contextmanager
def tensorboard(folder: Path) -> Iterator[Callable[[str], Page]]:
    """Serve a folder; yields a function that opens a page such as `scalars` in a browser."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    host, port = address.split(":")
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--host", host, "--port", port]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            page.set_default_timeout(WAIT)
            yield lambda name: _open(page, address, name)
            browser.close()
    finally:
        server.terminate()
        server.wait()


def _open(page: Page, address: str, name: str) -> Page:
    for attempt in range(60):
        try:
            page.goto(f"http://{address}/?attempt={attempt}#{name}")
            break
        except Error:  # the server is not up yet
            page.wait_for_timeout(1000)
    return page


def sees(page: Page, *texts: str) -> None:
    """Wait until the page shows each text."""
    for text in texts:
        page.get_by_text(text).first.wait_for(state="attached")


def filter_tags(page: Page, pattern: str) -> None:
    """Show only the tags that match, of all groups; the later ones are folded otherwise."""
    page.locator("tf-tag-filterer input >> visible=true").first.fill(pattern)


def filter_runs(page: Page, pattern: str) -> None:
    """Show only the runs that match."""
    page.locator("tf-runs-selector input >> visible=true").first.fill(pattern)


def fit_axes(page: Page) -> None:
    """Let every chart show all of its runs, and no others: filtering leaves the axes as they were."""
    page.wait_for_timeout(5000)
    for button in page.locator("paper-icon-button[icon='settings-overscan'] >> visible=true").all():
        button.click()


def sort_hparams(page: Page, column: str) -> None:
    """Put the rows of the HPARAMS table in the order of a column, the lowest first."""
    for menu, choice in (("Sort by", column), ("Direction", "Ascending")):
        dropdown = page.locator(f"paper-dropdown-menu[label='{menu}'] >> visible=true").first
        dropdown.click()
        dropdown.locator("paper-item", has_text=choice).first.click()
    page.locator("tf-hparams-query-pane").evaluate("pane => pane.scrollIntoView()")


def take(page: Page, path: Path, height: int = HEIGHT) -> None:
    """Save the upper `height` pixels of the page once it is drawn."""
    page.wait_for_timeout(5000)
    page.screenshot(path=path, clip={"x": 0, "y": 0, "width": WIDTH, "height": height})


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.screenshots", description=__doc__)
    parser.add_argument("folder", type=Path, help="of a sweep")
    parser.add_argument("--runs", default="", help="regular expression of the runs whose curves are shown")
    parser.add_argument("--run", default="", help="regular expression of the run whose images are shown")
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="receives tensorboard_*.png")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tensorboard(arguments.folder) as open_page:
        page = open_page("custom_scalars")
        sees(page, "images a second")
        filter_runs(page, arguments.runs)
        fit_axes(page)
        take(page, arguments.out / "tensorboard_scalars.png", 840)

        page = open_page("images")
        filter_tags(page, "first_batch|confusion$|top_losses")
        filter_runs(page, arguments.run)
        sees(page, "view/valid/top_losses")
        take(page, arguments.out / "tensorboard_images.png", 690)

        page = open_page("hparams")
        sees(page, "recipe.base_lr", "valid/error_rate")
        sort_hparams(page, "valid/error_rate")
        take(page, arguments.out / "tensorboard_hparams.png", 500)


if __name__ == "__main__":
    main()
