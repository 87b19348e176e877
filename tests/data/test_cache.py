"""The cache: the same batches as without it, decoded once, and never a pixel that was not decoded from these files."""

import json
import logging
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pets.augment.batch import BatchTransform
from pets.data import dataset as dataset_module
from pets.data.batch import Batch, Request
from pets.data.cache import build as module
from pets.data.cache import contents
from pets.data.cache.build import build_cache, images_folder
from pets.data.cache.resized import ResizedImages
from pets.data.datamodule import ImageDataModule
from pets.data.dataset import ImageDataset
from pets.data.image_table import ImageTable, SampleError
from pets.data.images import open_image
from pets.data.labels import RegexLabeller, Vocab
from pets.data.presize import Presize
from pets.data.sources.folder import ImageFolder, list_images
from pets.data.splits import SplitRule
from pets.settings.data import METHODS, Cache

KINDS: tuple[Cache, ...] = ("ram", "disk")


@pytest.fixture(autouse=True)
def _cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def root(tiny_pets: Path, tmp_path: Path) -> Path:
    """Images of 40 to 64 px with, beside them, a larger one that is turned, one with transparency, and one of a row."""
    folder = Path(shutil.copytree(tiny_pets, tmp_path / "pets"))
    large = Image.radial_gradient("L").resize((150, 120)).convert("RGB")
    exif = large.getexif()
    exif[0x0112] = 6
    large.save(folder / "pug_90.jpg", exif=exif)
    Image.new("RGBA", (70, 30), (10, 200, 30, 100)).save(folder / "pug_91.png")
    large.crop((0, 60, 90, 61)).save(folder / "pug_92.bmp")
    return folder


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Returns what the cache said since the last call."""
    caplog.set_level(logging.INFO, "pets")

    def take() -> list[str]:
        messages = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return messages

    return take


def items_of(root: Path) -> ImageTable:
    files = np.array(list_images(root).files)
    return ImageTable(root, files, np.zeros(len(files), np.int64), Vocab(["pug"]))


def pixels_of(kept: ResizedImages) -> torch.Tensor:
    return kept.pixels[0 : int(kept.offsets[-1])].clone()


def kept_images(items: ImageTable, presize: Presize, kind: Cache = "disk") -> ResizedImages:
    kept = build_cache(kind, items, presize)
    assert kept is not None
    return kept


def datamodule(root: Path, cache: Cache, presize: Presize, num_workers: int = 0) -> ImageDataModule:
    return ImageDataModule(
        ImageFolder(root), RegexLabeller(r"^(.+)_\d+\."), SplitRule(valid_pct=0.3), BatchTransform(size=24),
        presize=presize, batch_size=4, num_workers=num_workers, seed=0, cache=cache,
    )  # fmt: skip


def batches(data: ImageDataModule) -> list[Batch]:
    loader, seen = data.train_dataloader(), []
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        seen += list(loader)
    return seen + list(data.val_dataloader())


def assert_same(found: list[Batch], expected: list[Batch]) -> None:
    assert len(found) == len(expected)
    for batch, other in zip(found, expected, strict=True):
        assert all(torch.equal(*fields) for fields in zip(batch, other, strict=True))


def the_file(root: Path) -> Path:
    (path,) = images_folder().glob("*.bin")
    return path


@pytest.mark.parametrize(
    "presize", [*(Presize(48, method) for method in METHODS), Presize(48, "crop", "bicubic")], ids=str
)
def test_batches_are_those_without_a_cache_bit_for_bit(presize: Presize, root: Path) -> None:
    expected = batches(datamodule(root, "none", presize))
    for kind in KINDS:
        for num_workers in (0, 1, 2):
            assert_same(batches(datamodule(root, kind, presize, num_workers)), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_decoded_after_the_first_loader_is_made(
    kind: Cache, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = datamodule(root, kind, Presize(48))
    data.setup()
    assert not images_folder().exists()
    data.val_dataloader()
    monkeypatch.setattr(dataset_module, "open_image", None)
    assert len(batches(data)) == 2 * 4 + 2


@pytest.mark.parametrize("kind", KINDS)
def test_every_kept_image_is_the_shrunk_one(kind: str, root: Path) -> None:
    items, presize = items_of(root), Presize(48, "pad")
    kept = build_cache(kind, items, presize)
    assert isinstance(kept, ResizedImages)
    assert len(kept) == len(items)
    for index in range(len(items)):
        expected = presize.resize(open_image(items.path(index)))
        assert torch.equal(kept[index], expected)
        assert kept[index].stride() == expected.stride() or 1 in expected.shape


def test_a_second_run_reads_what_the_first_has_written(
    root: Path, told: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    items = items_of(root)
    first = kept_images(items, Presize(48))
    assert [line.partition(", built in")[0] for line in told()] == ["cache: 27 images, 0 MB"]
    written = the_file(root).stat().st_mtime_ns
    monkeypatch.setattr(module, "resized_image", None)
    second = kept_images(items, Presize(48))
    assert told() == ["cache: 27 images, 0 MB, reused"]
    assert torch.equal(pixels_of(first), pixels_of(second))
    assert the_file(root).stat().st_mtime_ns == written


def test_it_is_invisible_to_a_listing(root: Path) -> None:
    before = datamodule(root, "disk", Presize(48))
    before.val_dataloader()
    assert the_file(root).exists()
    after = datamodule(root, "disk", Presize(48))
    assert before.summary() == after.summary()
    assert list_images(root).ignored == {}


@pytest.mark.parametrize(
    "presize", [Presize(47), Presize(48, "squish"), Presize(48, interpolation="bilinear")], ids=str
)
def test_other_settings_have_a_file_of_their_own(presize: Presize, root: Path) -> None:
    items = items_of(root)
    build_cache("disk", items, Presize(48))
    kept = kept_images(items, presize)
    for index in range(len(items)):
        assert torch.equal(kept[index], presize.resize(open_image(items.path(index))))
    assert len(list(images_folder().glob("*.bin"))) == 2


@pytest.mark.parametrize("change", ["content", "order", "fewer", "release"])
def test_other_files_have_a_file_of_their_own(change: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build_cache("disk", items_of(root), Presize(48))
    if change == "content":
        status = (root / "pug_1.jpg").stat()
        data = (root / "pug_1.jpg").read_bytes()
        (root / "pug_1.jpg").write_bytes(data[:-200] + bytes(reversed(data[-200:-2])) + data[-2:])
        os.utime(root / "pug_1.jpg", ns=(status.st_atime_ns, status.st_mtime_ns))  # size and date tell nothing
    elif change == "order":
        (root / "pug_1.jpg").rename(root / "x")
        (root / "pug_2.jpg").rename(root / "pug_1.jpg")
        (root / "x").rename(root / "pug_2.jpg")
    elif change == "fewer":
        (root / "pug_1.jpg").unlink()
    else:
        monkeypatch.setattr(module.PIL, "__version__", "0")
    items = items_of(root)
    kept = kept_images(items, Presize(48))
    for index in range(len(items)):
        assert torch.equal(kept[index], Presize(48).resize(open_image(items.path(index))))
    assert len(list(images_folder().glob("*.bin"))) == 2


def flipped(place: int) -> Callable[[bytes], bytes]:
    return lambda data: bytes(byte ^ (index == place % len(data)) for index, byte in enumerate(data))


def shapes_exchanged(data: bytes) -> bytes:
    first, second = -module.DIGEST - 16, -module.DIGEST - 8
    return data[:first] + data[second : -module.DIGEST] + data[first:second] + data[-module.DIGEST :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "a byte": lambda data: data[:1],
    "half": lambda data: data[: len(data) // 2],
    "cut": lambda data: data[:-1],
    "longer": lambda data: data + b"\0",
    "zeros": lambda data: bytes(len(data)),
    "a bit of the first pixel": flipped(0),
    "a bit of a pixel": flipped(20_000),
    "a bit of a shape": flipped(-module.DIGEST - 3),
    "shapes exchanged": shapes_exchanged,
    "a bit of the digest": flipped(-1),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_built_anew(
    damage: Callable[[bytes], bytes], root: Path, told: Callable[[], list[str]]
) -> None:
    items = items_of(root)
    build_cache("disk", items, Presize(48))
    path, data = the_file(root), the_file(root).read_bytes()
    assert damage(data) != data
    path.unlink()  # and not written to: it may be in use
    path.write_bytes(damage(data))
    told()
    kept = kept_images(items, Presize(48))
    warning, news = told()
    assert warning == f"cache: {path} is damaged and built anew"
    assert "built in" in news
    assert path.read_bytes() == data
    for index in range(len(items)):
        assert torch.equal(kept[index], Presize(48).resize(open_image(items.path(index))))


def test_what_a_killed_run_left_half_written_is_ignored(root: Path) -> None:
    code = (
        "import os, sys; from pets.data.cache import build as cache; from tests.data.test_cache import *\n"
        "plain = cache.resized_image\n"
        "def resized_image(items, presize, index, shape):\n"
        "    return os._exit(7) if index == 20 else plain(items, presize, index, shape)\n"
        "cache.resized_image = resized_image\n"
        "build_cache('disk', items_of(Path(sys.argv[1])), Presize(48))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(root)], cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 7
    assert {".part"} <= {path.suffix for path in images_folder().iterdir()} <= {".part", ".lock", ".json"}
    items = items_of(root)
    kept = kept_images(items, Presize(48))
    assert torch.equal(kept[0], Presize(48).resize(open_image(items.path(0))))
    assert not list(images_folder().glob("*.part"))


def test_two_runs_at_once_build_it_once(root: Path) -> None:
    code = (
        "import logging, sys; from tests.data.test_cache import *\n"
        "logging.basicConfig(level=logging.INFO, format='%(message)s', stream=sys.stdout)\n"
        "input()\n"
        "build_cache('disk', items_of(Path(sys.argv[1])), Presize(48))\n"
    )
    command = [sys.executable, "-c", code, str(root)]
    runs = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        )
        for _ in range(2)
    ]
    for run in runs:
        assert run.stdin is not None
        run.stdin.write("go\n")
        run.stdin.flush()
    said = sorted(run.communicate(timeout=300)[0].split(", ")[2].split(" in ")[0].strip() for run in runs)
    assert said == ["built", "reused"]


@pytest.mark.parametrize("damage", ["cut", "gone", "no image"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_image_that_cannot_be_decoded_is_named_as_without_a_cache(kind: str, damage: str, root: Path) -> None:
    items = items_of(root)
    path = items.path(5)
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-40] if damage == "cut" else b"text")
    with pytest.raises(SampleError) as uncached:
        ImageDataset(items, np.arange(len(items)), Presize(48))[Request(0, 5)]
    with pytest.raises(SampleError) as cached:
        build_cache(kind, items, Presize(48))
    assert str(cached.value) == str(uncached.value)
    assert str(path) in str(cached.value)
    assert not list(images_folder().glob("*.bin"))
    assert not list(images_folder().glob("*.part"))


@pytest.mark.parametrize("kind", KINDS)
def test_images_that_are_left_out_are_not_asked_for(kind: Cache, root: Path) -> None:
    (root / "pug_1.jpg").write_bytes(b"broken")
    data = datamodule(root, kind, Presize(48))
    data.on_error = "skip"
    assert len(data.table) == 26
    assert sum(len(batch.images) for batch in data.val_dataloader()) == len(data.splits.valid)


@pytest.mark.parametrize("obstacle", ["file", "full"])
def test_a_folder_that_cannot_be_used_is_named_with_the_way_out(
    obstacle: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if obstacle == "file":
        images_folder().parent.mkdir(parents=True, mode=0o700)
        images_folder().write_text("in the way")
    else:
        monkeypatch.setattr(module.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 9, 0))
    with pytest.raises(
        ValueError, match=r"^data\.cache=disk: .*pets/images cannot be used: .*XDG_CACHE_HOME"
    ) as caught:
        build_cache("disk", items_of(root), Presize(48))
    assert "\n" not in str(caught.value)
    if obstacle == "full":
        assert "it needs 0 MB, 0 MB are free" in str(caught.value)


def test_other_processes_share_the_memory(root: Path) -> None:
    many = items_of(root)
    for kind in KINDS:
        kept = kept_images(many, Presize(48), kind)
        part = ImageDataset(many, np.arange(len(many)), Presize(48), cache=kept)
        assert pixels_of(kept).numel() > 100_000
        assert len(ForkingPickler.dumps(part)) < 20_000
    copy = pickle.loads(pickle.dumps(kept))
    assert len(pickle.dumps(kept)) < 2_000
    assert all(torch.equal(copy[index], kept[index]) for index in range(len(many)))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_file_that_is_cut_short_while_it_is_in_use_is_one_line(root: Path, num_workers: int) -> None:
    data = datamodule(root, "disk", Presize(48), num_workers=num_workers)
    data.setup()
    loader = data.train_dataloader()
    os.truncate(the_file(root), 1000)
    with pytest.raises(SampleError, match=r"^\S+\.bin was cut short while it was in use: start the run again$"):
        list(loader)


def test_a_run_takes_it_from_the_configuration(root: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.cache='tape' is not allowed: none, ram, disk"):
        datamodule(root, "tape", Presize(48))  # type: ignore[arg-type]
    assert json.loads(json.dumps(datamodule(root, "disk", Presize(48)).state_dict())) == (
        datamodule(root, "none", Presize(48)).state_dict()
    )


def names_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Returns a list that grows by the name of every photograph that is read."""
    names: list[str] = []
    plain = contents.read_bytes

    def read_bytes(path: Path) -> tuple[str, bytes]:
        names.append(path.name)
        return plain(path)

    monkeypatch.setattr(contents, "read_bytes", read_bytes)
    return names


def test_photographs_that_nothing_touched_are_not_read_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "SETTLED_NS", -(10**12))  # the copies are only just written
    items, read = items_of(root), names_read(monkeypatch)
    first = kept_images(items, Presize(48))
    assert sorted(read) == sorted(items.files)
    read.clear()
    build_cache("disk", items, Presize(48))
    assert read == []
    build_cache("disk", items, Presize(40))
    assert read == []
    status = (root / "pug_1.jpg").stat()
    (root / "pug_1.jpg").write_bytes((root / "pug_2.jpg").read_bytes())
    os.utime(root / "pug_1.jpg", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not torch.equal(pixels_of(kept_images(items, Presize(48))), pixels_of(first))
    assert read == ["pug_1.jpg"]


def test_a_photograph_that_was_only_just_changed_is_read_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items, read = items_of(root), names_read(monkeypatch)
    monkeypatch.setattr(contents, "SETTLED_NS", 10**12)
    for _ in range(2):
        build_cache("disk", items, Presize(48))
        assert sorted(read) == sorted(items.files)
        read.clear()


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"pug_1.jpg": 1}', b'{"pug_1.jpg": [[1], 5]}', b"\xff"])
def test_damaged_notes_are_not_believed(damage: bytes, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "SETTLED_NS", -(10**12))
    expected = pixels_of(kept_images(items_of(root), Presize(48)))
    (notes,) = images_folder().glob("*.json")
    notes.write_bytes(damage)
    assert torch.equal(pixels_of(kept_images(items_of(root), Presize(48))), expected)


@pytest.fixture
def pixels_read(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """A list that grows by each image of the cache whose bytes are compared; its files count as old."""
    monkeypatch.setattr(contents, "SETTLED_NS", -(10**12))
    read: list[np.ndarray] = []
    plain = module.digest

    def digest(*arrays: np.ndarray) -> np.ndarray:
        read.extend(array for array in arrays if array.ndim == 3)
        return plain(*arrays)

    monkeypatch.setattr(module, "digest", digest)
    return read


def test_kept_bytes_that_nothing_touched_are_compared_once(root: Path, pixels_read: list[np.ndarray]) -> None:
    items = items_of(root)
    first = kept_images(items, Presize(48))
    for compared in (len(items), 0, 0):
        pixels_read.clear()
        assert torch.equal(pixels_of(kept_images(items, Presize(48))), pixels_of(first))
        assert len(pixels_read) == compared


def test_kept_bytes_that_were_exchanged_behind_their_date_are_noticed(
    root: Path, pixels_read: list[np.ndarray], told: Callable[[], list[str]]
) -> None:
    items = items_of(root)
    for _ in range(2):
        expected = pixels_of(kept_images(items, Presize(48)))
    path, status = the_file(root), the_file(root).stat()
    with open(path, "r+b") as file:
        file.write(b"\xff" * 100)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    told()
    assert torch.equal(pixels_of(kept_images(items, Presize(48))), expected)
    assert told()[0] == f"cache: {path} is damaged and built anew"


@pytest.mark.parametrize("note", [b"", b"[1]", b"{", b"\xff"])
def test_a_damaged_note_of_what_was_compared_is_not_believed(
    note: bytes, root: Path, pixels_read: list[np.ndarray]
) -> None:
    items = items_of(root)
    for _ in range(2):
        build_cache("disk", items, Presize(48))
    (path,) = images_folder().glob("*.verified")
    path.write_bytes(note)
    pixels_read.clear()
    build_cache("disk", items, Presize(48))
    assert len(pixels_read) == len(items)


def test_a_file_that_was_only_just_written_is_compared_again(
    root: Path, pixels_read: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "SETTLED_NS", 10**12)
    items = items_of(root)
    build_cache("disk", items, Presize(48))
    for _ in range(2):
        pixels_read.clear()
        build_cache("disk", items, Presize(48))
        assert len(pixels_read) == len(items)


def test_everything_is_read_where_that_is_asked(
    root: Path, pixels_read: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    items, read = items_of(root), names_read(monkeypatch)
    for _ in range(2):
        build_cache("disk", items, Presize(48))
    pixels_read.clear()
    read.clear()
    build_cache("disk", items, Presize(48), verify=True)
    assert len(pixels_read) == len(items)
    assert sorted(read) == sorted(items.files)


def test_nothing_is_written_below_the_data_root_or_through_its_links(root: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "precious").write_text("precious")
    (root / ".pets_cache").symlink_to(victim)
    before = {path: path.lstat().st_mtime_ns for path in (root, *root.iterdir(), victim, victim / "precious")}
    build_cache("disk", items_of(root), Presize(48))
    assert {path: path.lstat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize("trick", ["link", "writable", "owner"])
def test_a_cache_that_another_user_may_have_written_is_not_believed(
    trick: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_cache("disk", items_of(root), Presize(48))
    if trick == "link":
        images_folder().rename(tmp_path / "elsewhere")
        images_folder().symlink_to(tmp_path / "elsewhere")
    elif trick == "writable":
        images_folder().chmod(0o777)
    else:
        monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(ValueError, match=r"^data\.cache=disk: .* cannot be used: ") as caught:
        build_cache("disk", items_of(root), Presize(48))
    assert "\n" not in str(caught.value)


def test_a_file_in_use_is_replaced_and_never_written_to(root: Path) -> None:
    kept = kept_images(items_of(root), Presize(48))
    pixels, inode = pixels_of(kept), the_file(root).stat().st_ino
    damaged = the_file(root).with_suffix(".damaged")
    damaged.write_bytes(b"damaged")
    damaged.replace(the_file(root))
    build_cache("disk", items_of(root), Presize(48))
    assert the_file(root).stat().st_ino != inode
    assert torch.equal(pixels_of(kept), pixels)
