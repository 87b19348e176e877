"""The book's table: nothing is printed without data and weights; with runs, theirs stand beside ours."""

from pathlib import Path

import pytest

from benchmarks import book
from pets.evaluation.intervals import wilson
from pets.sweep.record import Job

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
    jobs = [
        Job(
            (f"experiment={name}", f"seed={seed}"),
            "valid/error_rate",
            0.1,
            1.0,
            error_rate=wilson(wrong, 1000),
            images=1000,
        )
        for name in book.BOOK
        for seed, wrong in enumerate((90, 110))
    ]
    rows = [line for line in book.table(jobs).splitlines() if line.startswith("| book_")]
    assert len(rows) == len(book.BOOK)
    assert rows[0] == "| book_baseline       | 0.0805 (0.068 to 0.095) | 0.1000 (0.086 to 0.116) | 0.0141 | 2     |"
