"""Files of strangers are opened as files or not at all; files of ours are whole, and where we put them."""

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pets import files
from pets.data.images import open_image
from pets.data.manifest import read_manifest
from pets.deploy.metadata import read_metadata
from pets.evaluation.predictions import Predictions
from pets.model.checkpoint import read_checkpoint
from pets.model.weights import read_state_dict
from pets.runs.resume import read_yaml

READERS: dict[str, Callable[[Path], object]] = {
    "photo.jpg": open_image,
    "model.json": lambda path: read_metadata(path.parent),
    "last.ckpt": read_checkpoint,
    "model.safetensors": read_state_dict,
    "weights.pth": read_state_dict,
    "predictions.npz": lambda path: Predictions.load(path.parent),
    "splits.json": read_manifest,
    "config.yaml": read_yaml,
}


@pytest.fixture(params=["a FIFO", "a socket", "a device"])
def special(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Make something that is no file, by its name."""
    monkeypatch.chdir(tmp_path)  # the path of a socket is short

    def make(name: str) -> Path:
        if request.param == "a FIFO":
            os.mkfifo(name)
        elif request.param == "a device":
            Path(name).symlink_to("/dev/zero")
        else:
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(name)
        return tmp_path / name

    return make


@pytest.mark.parametrize("name", READERS)
def test_what_is_no_file_is_refused_at_once(name: str, special: Callable[[str], Path]) -> None:
    path = special(name)
    with pytest.raises((ValueError, FileNotFoundError), match=name.replace(".", r"\.")) as caught:
        READERS[name](path)
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_is_opened_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(b"pixels")
    (tmp_path / "link").symlink_to("photo")
    assert files.read_bytes(tmp_path / "link") == b"pixels"
    with pytest.raises(IsADirectoryError):
        files.read_bytes(tmp_path)


def test_more_than_allowed_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "table").write_bytes(bytes(11))
    assert len(files.read_bytes(tmp_path / "table", most=11)) == 11
    with pytest.raises(ValueError, match="table: is larger than the 10 bytes allowed"):
        files.read_bytes(tmp_path / "table", most=10)


@pytest.mark.parametrize("name", ["table.csv", ".table.csv.part"])
@pytest.mark.parametrize("kind", ["link", "dangling link", "fifo", "hard link"])
def test_no_file_of_ours_is_written_through_a_link(name: str, kind: str, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = tmp_path / "run"
    folder.mkdir()
    if kind == "fifo":
        os.mkfifo(folder / name)
    elif kind == "hard link":
        (folder / name).hardlink_to(victim)
    else:
        (folder / name).symlink_to(victim if kind == "link" else tmp_path / "new")
    files.write_csv(folder / "table.csv", ["n"], [[1]])
    assert victim.read_text() == "precious"
    assert not (tmp_path / "new").exists()
    assert [path.name for path in folder.iterdir()] == ["table.csv"]
    assert stat.S_ISREG(os.lstat(folder / "table.csv").st_mode)


def test_a_file_that_cannot_be_finished_is_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    files.write_text(path, "old")

    def interrupted() -> None:
        with files.replacing(path) as stream:
            stream.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_folders_of_ours_are_no_links(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "precious").touch()
    (tmp_path / "link").symlink_to("victim")
    for make in (files.own_folder, files.private_folder):
        with pytest.raises(OSError, match="link"):
            make(tmp_path / "link")
    assert files.fresh_folder(tmp_path / "link").is_dir()
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "victim" / "precious").exists()
    (tmp_path / "old" / "below").mkdir(parents=True)
    assert list(files.fresh_folder(tmp_path / "old").iterdir()) == []


def test_a_private_folder_is_the_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = files.private_folder(tmp_path / "cache")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o777)
    with pytest.raises(PermissionError, match="user can write to it"):
        files.private_folder(folder)
    folder.chmod(0o700)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(PermissionError, match="user can write to it"):
        files.private_folder(folder)


def test_a_run_folder_with_a_link_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "history.csv").touch()
    files.refuse_links(tmp_path / "run")
    (tmp_path / "run" / "latest").symlink_to("checkpoints")
    files.refuse_links(tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / "best.ckpt").symlink_to(tmp_path)
    with pytest.raises(ValueError, match=r"best\.ckpt: is a link"):
        files.refuse_links(tmp_path / "run")


def test_what_nothing_depends_on_fails_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with files.or_warn("confusion.png"):
        raise RuntimeError("two\nlines")
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "confusion.png is left out: two lines"
    ]
    with pytest.raises(KeyboardInterrupt), files.or_warn("confusion.png"):
        raise KeyboardInterrupt
