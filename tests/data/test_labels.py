"""Labels from names, folders and tables; classes in a fixed order."""

import re
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pets.data.labels import ParentLabeller, RegexLabeller, TableLabeller, Vocab
from pets.data.sources.folder import list_images
from pets.data.sources.table import CsvTable


def test_regex_takes_everything_before_the_last_number() -> None:
    files = ["great_pyrenees_173.jpg", "sub_1/Maine_Coon_3.jpg", "a_1_2.jpg"]
    assert RegexLabeller()(files) == ["great_pyrenees", "Maine_Coon", "a_1"]


def test_regex_searches_as_fastai_does() -> None:
    assert RegexLabeller(r"([a-z]+)_\d")(["X-pug_12.jpeg"]) == ["pug"]


def test_regex_group_may_be_named() -> None:
    assert RegexLabeller(r"(\d+)-(?P<label>\w+)\.")(["12-pug.png"]) == ["pug"]


def test_regex_failures_are_counted_and_shown() -> None:
    files = ["pug_1.jpg", *(f"IMG{i}.jpg" for i in range(7))]
    with pytest.raises(ValueError, match=r"in 7 of 8 file names: 'IMG0.jpg', .*'IMG4.jpg', \.\.\.$") as error:
        RegexLabeller()(files)
    assert r"data.labeller.pattern='(.+)_\\d+\\.jpg$'" in str(error.value)


@pytest.mark.parametrize("pattern", [r"x|(y)", r"(\d*)"])
def test_an_empty_group_is_no_label(pattern: str) -> None:
    with pytest.raises(ValueError, match="no label in 1 of 1"):
        RegexLabeller(pattern)(["x"])


@pytest.mark.parametrize(
    ("pattern", "says"), [("(", "a regular expression"), ("abc", "it needs a group"), ("(?:a)", "it needs a group")]
)
def test_a_bad_pattern_is_an_error_at_construction(pattern: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"data.labeller.pattern={pattern!r} is not allowed: {says}")):
        RegexLabeller(pattern)


def test_a_pattern_that_takes_for_ever_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pets.data.labels._REGEX_SECONDS", 0.05)
    before = signal.getsignal(signal.SIGVTALRM)
    with pytest.raises(ValueError, match=r"takes more than 0\.05 s on 'a+!'"):
        RegexLabeller(r"(a+)+$")(["a" * 60 + "!"])
    assert signal.getsignal(signal.SIGVTALRM) == before
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0, 0)


def test_many_names_share_a_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    monkeypatch.setattr("pets.data.labels.signal.setitimer", lambda which, seconds: started.append(seconds))
    files = [f"dogs/pug_{number}.jpg" for number in range(2500)]
    assert RegexLabeller()(files) == ["pug"] * 2500
    assert len([seconds for seconds in started if seconds]) == 3


def test_names_that_only_together_take_long_are_searched_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pets.data.labels._REGEX_SECONDS", 0.0005)
    files = [f"pug_{number}.jpg" for number in range(3000)]
    assert RegexLabeller()(files) == ["pug"] * 3000


def test_regex_works_in_a_thread() -> None:
    labels: list[str] = []
    thread = threading.Thread(target=lambda: labels.extend(RegexLabeller()(["pug_1.jpg"])))
    thread.start()
    thread.join()
    assert labels == ["pug"]


def test_parent() -> None:
    assert ParentLabeller()(["train/pug/1.jpg", "beagle/2.jpg"]) == ["pug", "beagle"]
    with pytest.raises(ValueError, match=r"1 of 2 files lie directly in data\.root.*'1\.jpg'"):
        ParentLabeller()(["1.jpg", "pug/1.jpg"])


def test_table(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("file,label\nb.jpg,pug\na.jpg,beagle\n")
    labeller = TableLabeller(CsvTable(path))
    assert labeller(["a.jpg", "b.jpg"]) == ["beagle", "pug"]
    with pytest.raises(ValueError, match=r"no row for 1 of 2 files: 'c\.jpg'"):
        labeller(["a.jpg", "c.jpg"])


def test_vocab_sorts_upper_case_first() -> None:
    vocab = Vocab.from_labels(["pug", "Sphynx", "beagle", "pug", "Bengal"])
    assert list(vocab) == ["Bengal", "Sphynx", "beagle", "pug"]
    assert (len(vocab), vocab[1]) == (4, "Sphynx")


def test_real_names_give_37_breeds_cats_first(real_data: Path) -> None:
    files = list_images(real_data / "data" / "pets37x10").files
    vocab = Vocab.from_labels(RegexLabeller()(files))
    assert np.bincount(vocab.encode(RegexLabeller()(files))).tolist() == [10] * 37
    assert (vocab[0], vocab[11], vocab[12]) == ("Abyssinian", "Sphynx", "american_bulldog")


def test_vocab_keeps_an_explicit_order() -> None:
    vocab = Vocab(["pug", "beagle"])
    codes = vocab.encode(["beagle", "pug", "pug"])
    assert codes.tolist() == [1, 0, 0]
    assert codes.dtype == np.int64


def test_vocab_is_a_value() -> None:
    assert Vocab(["a", "b"]) == Vocab(("a", "b"))
    assert Vocab(["a", "b"]) != Vocab(["b", "a"])
    with pytest.raises(AttributeError):
        Vocab(["a"]).classes = ("b",)  # type: ignore[misc]


@pytest.mark.parametrize("classes", [[], "pug", ["pug", ""], ["pug", 3]])
def test_vocab_wants_names(classes: list[str]) -> None:
    with pytest.raises(ValueError, match=re.escape(f"data.classes={classes!r}")):
        Vocab(classes)


def test_vocab_wants_each_name_once() -> None:
    with pytest.raises(ValueError, match="names 'pug' more than once"):
        Vocab(["pug", "beagle", "pug"])


def test_encode_names_the_strangers() -> None:
    with pytest.raises(ValueError, match=r"3 of 4 labels are none of the 1 classes of data\.classes: 'cat', 'emu'"):
        Vocab(["pug"]).encode(["emu", "cat", "pug", "cat"])


@given(st.lists(st.text(min_size=1), min_size=1))
def test_encode_and_index_are_inverse(labels: list[str]) -> None:
    vocab = Vocab.from_labels(labels)
    assert [vocab[i] for i in vocab.encode(labels)] == labels
    assert vocab.encode(list(vocab)).tolist() == list(range(len(vocab)))
