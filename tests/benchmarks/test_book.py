"""The book's table: nothing is printed without data and weights; with runs, theirs stand beside ours."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import book
from pets.sweep.record import Job, write_job

CONF = Path(__file__).parents[2] / "conf"


def test_every_experiment_of_the_book_is_run() -> None:
    assert set(book.BOOK) == {path.stem for path in CONF.glob("experiment/book_*.yaml")}


def test_without_data_or_weights_it_says_so_and_prints_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["book", "--root", str(tmp_path), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as stopped:
        book.main()
    text = str(stopped.value.code)
    assert "Oxford-IIIT Pet" in text
    assert "resnet34-" in text
    assert "resnet50-" in text
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "out").exists()


def test_the_table_has_mean_spread_and_number_of_ours() -> None:
    runs = {
        name: [[("frozen", 0.2), ("frozen", frozen), ("unfrozen", 0.3), ("unfrozen", last)] for frozen, last in made]
        for name, made in dict.fromkeys(book.BOOK, ((0.12, 0.09), (0.14, 0.11))).items()
    }
    rows = [line for line in book.table(runs, 1000).splitlines() if line.startswith("| book_")]
    assert len(rows) == len(book.BOOK)
    assert [cell.strip() for cell in rows[0].split("|")[1:-1]] == [
        "book_baseline", "0.1062", "0.0805 (0.068 to 0.095)", "0.1300", "0.1000 (0.083 to 0.120)", "0.0141", "2",
    ]  # fmt: skip


def test_runs_are_read_from_their_folders_and_drawn(tmp_path: Path) -> None:
    for number, name in enumerate(("book_baseline", "book_high_lr")):
        folder = tmp_path / str(number)
        folder.mkdir()
        write_job(folder, Job((f"experiment={name}", "seed=0"), "valid/error_rate", 0.1, 1.0))
        (folder / "history.csv").write_text("epoch,phase,error_rate\n0,frozen,0.5\n1,unfrozen,0.25\n")
        (folder / "metrics.json").write_text('{"valid/error_rate": 0.25, "n": {"valid": 40}}')
    runs, images = book.curves(tmp_path)
    assert images == 40
    assert runs["book_high_lr"] == [[("frozen", 0.5), ("unfrozen", 0.25)]]
    assert runs["book_unfreeze"] == []
    lines = book.picture(runs).axes[0].lines
    assert [np.asarray(line.get_ydata()).tolist() for line in lines[:3]] == [[50, 25], [50], [25]]


def test_other_photographs_come_with_a_table_and_without_half_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for label in "ab":
        for number in range(6):
            path = tmp_path / "images" / label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4)).save(path)
    typed: list[str] = []

    def run(command: list[str], check: bool) -> subprocess.CompletedProcess[str]:
        typed.extend(command)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(subprocess, "run", run)
    folders = ["--images", str(tmp_path / "images"), "--out", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", ["book", *folders, "--per-class", "5", "model=resnet18"])
    with pytest.raises(SystemExit, match="some of the runs failed"):
        book.main()
    assert "experiment=book_baseline,book_high_lr,book_lr_find,book_unfreeze,book_discriminative" in typed
    assert "model=resnet18" in typed
    assert len((tmp_path / "out" / "fold_0.csv").read_text().splitlines()) == 11
