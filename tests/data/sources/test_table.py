"""Tables of images: separators, columns, and rows that are not what they should be."""

from pathlib import Path

import pytest

from pets.data.sources.table import CsvTable

NAMES = ("a.jpg", "b.jpg", "sub/c.jpg")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with three files."""
    for name in NAMES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def table(folder: Path, text: str, encoding: str = "utf-8", **options: str) -> CsvTable:
    """Write a table into the folder and read it."""
    path = folder / "labels.csv"
    path.write_bytes(text.encode(encoding))
    return CsvTable(path, **options)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_separators_marks_and_line_ends(folder: Path, separator: str, encoding: str, newline: str) -> None:
    rows = [("file", "label"), ("b.jpg", "caf\u00e9"), ("sub/c.jpg", '"pug, or ""mops"";|"'), ("a.jpg", "pug")]
    source = table(folder, newline.join(separator.join(row) for row in rows) + newline, encoding)
    assert source.listing().files == NAMES
    assert source.labels() == {"a.jpg": "pug", "b.jpg": "caf\u00e9", "sub/c.jpg": 'pug, or "mops";|'}


def test_columns_have_any_name_and_order(folder: Path) -> None:
    source = table(folder, "note,breed,path\n-,pug, a.jpg \n", file_column="path", label_column="breed")
    assert source.labels() == {"a.jpg": "pug"}


def test_paths_are_relative_to_the_root(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("elsewhere") / "labels.csv"
    path.write_text(f"file,label\n./sub//c.jpg,x\nsub/../a.jpg,x\n{folder}/b.jpg,x\n")
    assert CsvTable(path, root=folder).listing().files == NAMES


@pytest.mark.parametrize("file", ["../a.jpg", "/etc/passwd", "sub/../../x.jpg", ".", "sub/.."])
def test_paths_outside_the_root_are_refused(folder: Path, file: str) -> None:
    with pytest.raises(ValueError, match=r"labels\.csv line 3: the file '.*' lies outside data\.root="):
        table(folder, f"file,label\na.jpg,x\n{file},x\n").labels()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name,label\na.jpg,x\n", "has no column 'file'; its columns: 'name', 'label'"),
        ("", "has no column 'file', 'label'"),
        ("file,label,label\na.jpg,x,y\n", "has the column 'label' more than once"),
        ("file,label\n", "has no row below its header"),
        ("file,label\na.jpg,x\na.jpg,y\n", "line 3: the file 'a.jpg' is listed a second time"),
        ("file,label\na.jpg,x\n./a.jpg,x\n", "line 3: the file 'a.jpg' is listed a second time"),
        ("file,label\na.jpg, \n", "line 2: column 'label' is empty"),
        ("file,label\n,x\n", "line 2: column 'file' is empty"),
        ("file,label\na.jpg\n", "line 2: it has more or fewer cells"),
        ("file,label\na,1.jpg,x\n", "line 2: it has more or fewer cells"),
        ('file,label\na.jpg,"x\n', "is no CSV file in UTF-8"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, text: str, says: str) -> None:
    with pytest.raises(ValueError, match=r"labels\.csv") as error:
        table(folder, text).listing()
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_another_encoding_is_an_error(folder: Path) -> None:
    with pytest.raises(ValueError, match="is no CSV file in UTF-8"):
        table(folder, "file,label\na.jpg,caf\u00e9\n", "latin-1").labels()


def test_missing_files_are_counted(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"2 of 3 files are not in data\.root=.*: 'sub', 'x\.jpg'"):
        table(folder, "file,label\na.jpg,x\nx.jpg,x\nsub,x\n").listing()
    with pytest.raises(FileNotFoundError, match=r"data\.source\.path=.*nothing\.csv does not exist"):
        CsvTable(folder / "nothing.csv").listing()


def test_valid_column(folder: Path) -> None:
    source = table(folder, "file,label,is_valid\na.jpg,x,True\nb.jpg,x,0\nsub/c.jpg,x,FALSE\n", valid_column="is_valid")
    assert source.column() == {"train": ["b.jpg", "sub/c.jpg"], "valid": ["a.jpg"]}


def test_split_column(folder: Path) -> None:
    source = table(folder, "file,label,part\na.jpg,x,Train\nb.jpg,x,val\nsub/c.jpg,x,test\n", split_column="part")
    assert source.column() == {"train": ["a.jpg"], "valid": ["b.jpg"], "test": ["sub/c.jpg"]}


@pytest.mark.parametrize(
    ("column", "allowed"),
    [("valid_column", "true, 1, false, 0"), ("split_column", "train, valid, validation, val, test")],
)
@pytest.mark.parametrize("value", ["maybe", ""])
def test_other_values_are_errors(folder: Path, column: str, allowed: str, value: str) -> None:
    source = table(folder, f"file,label,part\na.jpg,x,{value}\n", **{column: "part"})
    with pytest.raises(ValueError, match=f"column 'part' says '{value}' of 'a.jpg'; allowed: {allowed}"):
        source.column()


def test_parts_need_one_column(folder: Path) -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        table(folder, "", valid_column="v", split_column="s")
    with pytest.raises(ValueError, match=r"needs data\.source\.valid_column or data\.source\.split_column"):
        table(folder, "file,label\na.jpg,x\n").column()
    with pytest.raises(ValueError, match="no official split"):
        table(folder, "file,label\na.jpg,x\n").official()
