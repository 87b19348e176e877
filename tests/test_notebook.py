"""The book's chapter as a notebook: it runs, leaves nothing behind, and is the same as its page."""

import runpy
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="the package nbclient is not installed")
nbclient = pytest.importorskip("nbclient", reason="the package nbclient is not installed")
pytest.importorskip("ipykernel", reason="the package ipykernel is not installed")

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebooks" / "chapter5.ipynb"
SMALLER = {"EPOCHS = 4": "EPOCHS = 1", "per_breed=30": "per_breed=6", '"resnet18"': '"test_resnet", library="timm"'}
"""What is replaced so that every cell takes a second or two."""


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")  # of the kernel's client
def test_every_cell_runs_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONWARNINGS", "ignore:IProgress not found")  # timm's import, of the widgets of tqdm
    for name in ("temporary", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    text = NOTEBOOK.read_text(encoding="utf-8")
    for written, tiny in SMALLER.items():
        written, tiny = (part.replace('"', '\\"') for part in (written, tiny))
        assert written in text
        text = text.replace(written, tiny)
    book = nbformat.reads(text, as_version=4)
    nbclient.NotebookClient(
        book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path / "here")}}
    ).execute()
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    said = "".join(output.text for output in outputs if output.output_type == "stream")
    assert [output for output in outputs if output.output_type == "stream" and output.name == "stderr"] == []
    assert said.count("error_rate") == 3, "a table for every fit"
    assert "images wrong" in said
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
    assert list((tmp_path / "here").iterdir()) == []


def test_the_notebook_is_kept_without_outputs() -> None:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells if cell.cell_type == "code")


def test_the_page_is_the_notebook() -> None:
    script = runpy.run_path(str(ROOT / "notebooks" / "to_page.py"))
    assert (ROOT / "docs" / "chapter5.md").read_text(encoding="utf-8") == script["page"]()
