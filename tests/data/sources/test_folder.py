"""Listings: by content, in order, with nothing lost silently."""

import os
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pets.data.sources.folder import ImageFolder, Listing, _suffix, examples, list_images, sniff

JPEG = b"\xff\xd8\xff\xe0" + bytes(40)


def put(root: Path, name: str, content: bytes = JPEG) -> Path:
    """Write a file, and the folders that it lies in."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"])
def test_sniff_names_what_pillow_writes(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "image"
    Image.new("RGB", (3, 2)).save(path, format=kind)
    assert sniff(path.read_bytes()[:32]) == kind.lower()


@pytest.mark.parametrize(
    "head", [b"", b"\xff", b"BMW drivers and their dogs, a study", b"RIFF\x00\x00\x00\x00WAVE", b"%PDF-1.7"]
)
def test_sniff_knows_what_is_no_image(head: bytes) -> None:
    assert sniff(head) is None


@given(st.binary(max_size=40))
def test_sniff_takes_any_bytes(head: bytes) -> None:
    assert sniff(head) in {None, "jpeg", "png", "gif", "bmp", "webp", "tiff", "heif"}


HEIC = b"\x00\x00\x00\x1cftypheic" + bytes(40)


@pytest.mark.parametrize("name", ["photo.heic", "photo.HEIF", "photo"])
def test_heic_is_listed_where_it_can_be_read_and_else_the_way_to_read_it_is_told(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a.jpg")
    put(tmp_path, name, HEIC)
    monkeypatch.setattr("pets.data.sources.folder.READS_HEIF", True)
    assert list_images(tmp_path).files == ("a.jpg", name)
    monkeypatch.setattr("pets.data.sources.folder.READS_HEIF", False)
    listing = list_images(tmp_path)
    assert listing.files == ("a.jpg",)
    assert 'pip install "pets[heic]"' in str(listing)


def test_order_is_that_of_plain_strings(tmp_path: Path) -> None:
    for name in ("b/z.jpg", "b.jpg", "a/10.jpg", "a/9.jpg", "Z.jpg", "\u00e9t\u00e9.jpg", "with space.jpg"):
        put(tmp_path, name)
    files = list_images(tmp_path).files
    assert files == ("Z.jpg", "a/10.jpg", "a/9.jpg", "b.jpg", "b/z.jpg", "with space.jpg", "\u00e9t\u00e9.jpg")
    assert list(files) == sorted(files)


def test_flat_listing_leaves_folders_alone(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    put(tmp_path, "deeper/b.jpg")
    assert list_images(tmp_path, recursive=False) == Listing(("a.jpg",), {"folder": 1})


def test_what_is_no_image_is_counted(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    for i in range(3):
        put(tmp_path, f"pets_{i}.mat", b"MATLAB 5.0")
    put(tmp_path, "._a.jpg", b"\x00\x05\x16\x07")
    put(tmp_path, ".hidden.jpg")
    put(tmp_path, ".git/b.jpg")
    put(tmp_path, "README", b"text")
    put(tmp_path, "nothing", b"")
    put(tmp_path, "raw.NEF", b"MM\x00*" + bytes(40))
    listing = list_images(tmp_path)
    assert listing.files == ("a.jpg",)
    assert listing.ignored == {".mat": 3, "AppleDouble": 1, "hidden": 2, "without suffix": 1, "empty": 1, ".nef": 1}
    assert str(listing) == "1 images; ignored: 3 .mat, 1 .nef, 1 AppleDouble, 1 empty, 2 hidden, 1 without suffix"


def test_content_counts_where_the_suffix_says_nothing(tmp_path: Path) -> None:
    for name in ("photo", "photo.jfif", "photo.txt"):
        put(tmp_path, name)
    assert list_images(tmp_path).files == ("photo", "photo.jfif", "photo.txt")


def test_broken_images_do_not_vanish(tmp_path: Path) -> None:
    put(tmp_path, "empty.JPG", b"")
    put(tmp_path, "page.png", b"<html>not found</html>")
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "gone.jpg")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    assert list_images(tmp_path).files == ("dangling.jpg", "empty.JPG", "loop.jpg", "page.png")


def test_odd_entries_are_no_crash(tmp_path: Path) -> None:
    put(tmp_path, "folder.jpg/inside.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    (tmp_path / "around").symlink_to(tmp_path)
    listing = list_images(tmp_path)
    assert listing.files == ("folder.jpg/inside.jpg",)
    assert listing.ignored == {"special file": 1, "broken link": 1, "link to a folder around it": 1}


def test_a_file_that_its_folder_tells_enough_of_is_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        put(tmp_path, f"pugs/{number}.jpg")
    asked = []
    status = os.stat

    def stat(path: str | Path, **options: bool) -> os.stat_result:
        asked.append(Path(path))
        return status(path, **options)

    monkeypatch.setattr(os, "stat", stat)
    assert len(list_images(tmp_path).files) == 50
    assert {path for path in asked if path.suffix} == set()


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1))
def test_a_suffix_is_that_of_pathlib(name: str) -> None:
    if not name.startswith("."):
        assert _suffix(name) == PurePosixPath(name).suffix.lower()


def test_links_to_folders_elsewhere_are_followed(tmp_path: Path) -> None:
    put(tmp_path, "elsewhere/pug/1.jpg")
    root = tmp_path / "root"
    root.mkdir()
    (root / "pug").symlink_to(tmp_path / "elsewhere" / "pug")
    assert list_images(root).files == ("pug/1.jpg",)


def test_a_name_that_is_no_utf8_survives(tmp_path: Path) -> None:
    try:
        with open(os.path.join(os.fsencode(tmp_path), b"caf\xe9_1.jpg"), "wb") as file:
            file.write(JPEG)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    (name,) = list_images(tmp_path).files
    assert (tmp_path / name).read_bytes() == JPEG


def test_a_wrong_root_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"data\.root=.*nowhere does not exist"):
        list_images(tmp_path / "nowhere")
    with pytest.raises(NotADirectoryError, match=r"data\.root=.*a\.jpg is not a folder"):
        list_images(put(tmp_path, "a.jpg"))
    put(tmp_path, "docs/x.mat", b"MATLAB")
    with pytest.raises(FileNotFoundError, match=r"holds no image \(0 images; ignored: 1 \.mat\)"):
        list_images(tmp_path / "docs")


def test_image_folder(tiny_pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tiny_pets.parent))
    source = ImageFolder(f"~/{tiny_pets.name}")
    source.prepare()
    assert source.root == tiny_pets
    assert len(source.listing().files) == 24
    with pytest.raises(ValueError, match="method=official"):
        source.official()


def test_examples_are_few() -> None:
    assert examples("ab") == "'a', 'b'"
    assert examples("abcdef") == "'a', 'b', 'c', 'd', 'e', ..."
