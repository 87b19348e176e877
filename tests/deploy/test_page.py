"""The page as a person uses it, in a real browser: drop a photograph, read the answer, correct a label."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from pets import Predictor
from pets.data.sources.table import CsvTable
from pets.deploy.server import PredictionServer
from tests.deploy.conftest import save_checkpoint
from tests.deploy.test_server import serving

pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
from playwright.sync_api import Dialog, Page, expect, sync_playwright

from benchmarks import screenshots

pytestmark = [
    pytest.mark.skipif(screenshots.CHROMIUM is None, reason="there is no Chromium on this machine"),
    # Playwright's own event loop and pipes are closed by its process, not by us.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"),
]
CLASSES = ("<img src=x onerror=alert(1)>", "great_pyrenees", "pug")
"""Names of classes are anybody's."""
DROP = """([bytes, name, type]) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([new Uint8Array(bytes)], name, { type }));
    document.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""
PASTE = """([bytes, name, type]) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([new Uint8Array(bytes)], name, { type }));
    document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }));
}"""


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    path = tmp_path_factory.mktemp("named") / "last.ckpt"
    save_checkpoint(path, classes=CLASSES)
    return Predictor.load(path)


@pytest.fixture
def server(predictor: Predictor, tmp_path: Path) -> Iterator[PredictionServer]:
    with serving(predictor, tmp_path / "corrections.csv") as server:
        yield server


@pytest.fixture
def page(server: PredictionServer) -> Iterator[Page]:
    """The page; an error or a dialogue in it fails the test."""
    troubles: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        troubles.append("a dialogue")
        dialog.dismiss()

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=screenshots.CHROMIUM, args=screenshots.FLAGS)
        page = browser.new_page()
        page.set_default_timeout(screenshots.WAIT)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
        page.on("dialog", dismiss)
        page.goto(server.url)
        yield page
        browser.close()
    assert troubles == []


def test_drop_a_photograph_read_the_answer_correct_a_label(
    page: Page, server: PredictionServer, tiny_pets: Path
) -> None:
    photo = (tiny_pets / "pug_3.jpg").read_bytes()
    expected = server.predictor(photo)
    page.evaluate(DROP, [list(photo), "pug_3.jpg", "image/jpeg"])
    card = page.locator(".card")
    expect(card.locator("h2")).to_have_text(expected.label.replace("_", " "))
    expect(card.locator("li")).to_have_count(3)
    label, probability = expected.top[1]
    expect(card.locator("li").nth(1)).to_contain_text(f"{label.replace('_', ' ')}{probability:.1%}")

    card.locator(".look").click()  # once Grad-CAM is there
    heat = card.get_by_alt_text("where the network looked, in red")
    expect(heat).to_be_visible()
    assert heat.evaluate("image => image.decode().then(() => image.naturalWidth)") == server.predictor.metadata.size

    other = next(name for name in CLASSES if name != expected.label)
    card.get_by_label("the right label").select_option(other)
    card.get_by_role("button", name="Save label").click()
    expect(card.get_by_role("status")).to_contain_text("Saved as")
    table = CsvTable(server.corrections.path)
    (file,) = table.listing().files
    assert table.labels() == {file: other}
    assert (table.root / file).read_bytes() == photo


def test_several_are_chosen_and_one_is_pasted(page: Page, server: PredictionServer, tiny_pets: Path) -> None:
    photos = sorted(tiny_pets.glob("*.jpg"))[:3]
    page.locator("#files").set_input_files(photos)
    expect(page.locator(".card ol")).to_have_count(3)
    page.evaluate(PASTE, [list(photos[0].read_bytes()), "image.png", "image/jpeg"])
    expect(page.locator(".card ol")).to_have_count(4)


def test_none_of_these_where_the_threshold_says_so(
    predictor: Predictor, tiny_pets: Path, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictor, "threshold", 1.0)
    monkeypatch.setattr(predictor, "metadata", dataclasses.replace(predictor.metadata, false_alarms=0.05))
    page.reload()
    expect(page.locator("#about")).to_contain_text("less than 100.0% probable counts as none of them")
    expect(page.locator("#about")).to_contain_text("as do 5.0% of the photographs that show one")
    page.locator("#files").set_input_files(tiny_pets / "pug_3.jpg")
    expect(page.locator(".card h2")).to_have_text("None of these")
