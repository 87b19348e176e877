"""A file, a folder, a glob and a table name images, each in an order of its own."""

from pathlib import Path

import pytest

from pets.deploy.input_files import list_input_files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with images by name, in two levels, and other things."""
    for name in ("b.jpg", "a.png", "sub/c.jpg", "notes.txt", ".hidden.jpg", "odd[1].jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("not read")
    return tmp_path


def test_a_file(root: Path) -> None:
    assert list_input_files(str(root / "b.jpg")) == (root, ("b.jpg",), {})
    assert list_input_files(str(root / "notes.txt")).files == ("notes.txt",)


def test_a_folder_is_sorted_and_says_what_it_ignores(root: Path) -> None:
    source = list_input_files(str(root))
    assert source.files == ("a.png", "b.jpg", "odd[1].jpg", "sub/c.jpg")
    assert source.ignored == {".txt": 1, "hidden": 1}


@pytest.mark.parametrize(
    ("pattern", "files"),
    [
        ("*.jpg", ("b.jpg", "odd[1].jpg")),
        ("**/*.jpg", ("b.jpg", "odd[1].jpg", "sub/c.jpg")),
        ("[ab].*", ("a.png", "b.jpg")),
        ("sub/?.jpg", ("c.jpg",)),
        ("*", ("a.png", "b.jpg", "notes.txt", "odd[1].jpg")),
    ],
)
def test_a_glob_is_sorted_and_matches_files_only(pattern: str, files: tuple[str, ...], root: Path) -> None:
    source = list_input_files(str(root / pattern))
    assert source.files == files
    assert all((source.root / file).is_file() for file in files)


def test_a_file_whose_name_looks_like_a_glob_is_a_file(root: Path) -> None:
    assert list_input_files(str(root / "odd[1].jpg")).files == ("odd[1].jpg",)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_keeps_its_order_and_may_name_missing_files(separator: str, root: Path) -> None:
    rows = [("note", "image"), ("1", "sub/c.jpg"), ("2", "missing.jpg"), ("3", "b.jpg")]
    table = root / "list.csv"
    table.write_text("\ufeff" + "\n".join(separator.join(row) for row in rows), encoding="utf-8")
    assert list_input_files(str(table), file_column="image") == (root, ("sub/c.jpg", "missing.jpg", "b.jpg"), {})


def test_a_table_elsewhere_has_a_root(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    table = tmp_path_factory.mktemp("elsewhere") / "list.csv"
    table.write_text("file\nsub/c.jpg\n")
    assert list_input_files(str(table), root=root) == (root, ("sub/c.jpg",), {})


@pytest.mark.parametrize("file", ["/etc/passwd", "../outside.jpg"])
def test_a_table_stays_inside_its_root(file: str, root: Path) -> None:
    (root / "list.csv").write_text(f"file\n{file}\n")
    with pytest.raises(ValueError, match="lies outside"):
        list_input_files(str(root / "list.csv"))


def test_nothing_there_is_an_error(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^source=.*nowhere.jpg does not exist"):
        list_input_files(str(root / "nowhere.jpg"))
    with pytest.raises(FileNotFoundError, match=r"^source=.*\*\.gif matches no file"):
        list_input_files(str(root / "*.gif"))
    (root / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"^source=.*empty holds no image"):
        list_input_files(str(root / "empty"))
    (root / "list.csv").write_text("image\nb.jpg\n")
    with pytest.raises(ValueError, match="has no column 'file'"):
        list_input_files(str(root / "list.csv"))
