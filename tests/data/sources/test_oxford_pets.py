"""Oxford-IIIT Pet from a server of our own: fetched whole or not at all, and never twice."""

import hashlib
import io
import re
import socket
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import numpy as np
import pytest
from torchvision.datasets import OxfordIIITPet

from pets import private_api
from pets.data.sources.folder import Listing
from pets.data.sources.oxford_pets import OxfordPets
from pets.data.splits import SplitRule

IMAGES = {f"images/{name}.jpg": b"\xff\xd8\xff" + name.encode() for name in ("Birman_1", "Birman_2", "pug_1", "pug_2")}
EXTRAS = {"images/Birman_3.mat": b"MATLAB", "images/._pug_1.jpg": b"\x00\x05\x16\x07"}
LISTS = {
    "annotations/trainval.txt": b"# image class species breed\nBirman_1 1 1 1\npug_2 2 2 1\n",
    "annotations/test.txt": b"Birman_2 1 1 1\n",
}


def archive(files: dict[str, bytes], *others: tarfile.TarInfo) -> bytes:
    """Return a .tar.gz of files and other members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member in others:
            tar.addfile(member)
    return buffer.getvalue()


class Server:
    """Serves the two archives; what it serves may differ from what was promised."""

    def __init__(self, folder: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.url, self.requests = folder, url, list[str]()
        self._monkeypatch = monkeypatch
        self.promise(images=archive(IMAGES | EXTRAS), annotations=archive(LISTS))

    def promise(self, **archives: bytes) -> None:
        """Serve archives and let torchvision know their MD5."""
        for name, content in archives.items():
            self.serve(name, content)
        names = ("images.tar.gz", "annotations.tar.gz")
        resources = [
            (f"{self.url}/{name}", hashlib.md5((self.folder / name).read_bytes()).hexdigest()) for name in names
        ]
        self._monkeypatch.setattr(OxfordIIITPet, "_RESOURCES", resources)

    def serve(self, name: str, content: bytes) -> None:
        """Serve an archive whatever was promised."""
        (self.folder / f"{name}.tar.gz").write_bytes(content)


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server on this machine in the place of the data set's own."""
    folder = tmp_path_factory.mktemp("served")

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            if self.command == "GET" and "HEAD" not in self.headers.get("Method", ""):
                requests.append(self.path)

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with HTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        served = Server(folder, f"http://127.0.0.1:{httpd.server_port}", monkeypatch)
        requests = served.requests
        yield served
        httpd.shutdown()
        thread.join()


def test_fetched_once_and_listed(server: Server, tmp_path: Path) -> None:
    source = OxfordPets(tmp_path)
    source.prepare()
    assert source.root == tmp_path / "oxford-iiit-pet" / "images"
    assert source.listing() == Listing(
        ("Birman_1.jpg", "Birman_2.jpg", "pug_1.jpg", "pug_2.jpg"), {".mat": 1, "AppleDouble": 1}
    )
    assert (source.root / "pug_2.jpg").read_bytes() == IMAGES["images/pug_2.jpg"]
    assert sorted(entry.name for entry in source.base.iterdir()) == [".lock", "annotations", "images"]
    fetched = len(server.requests)
    assert fetched
    OxfordPets(tmp_path).prepare()
    assert len(server.requests) == fetched
    assert socket.getdefaulttimeout() is None


def test_official_parts(server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = OxfordPets(tmp_path)
    source.prepare()
    assert source.official() == {"train": ["Birman_1.jpg", "pug_2.jpg"], "valid": ["Birman_2.jpg"]}
    split = SplitRule("official")(source.listing().files, np.array([0, 0, 1, 1]), ["Birman", "pug"], source)
    assert [part.tolist() for part in split] == [[0, 3], [1], []]
    assert "'pug_1.jpg'" in caplog.text


def test_images_in_place_are_enough(tmp_path: Path, server: Server) -> None:
    folder = tmp_path / "oxford-iiit-pet" / "images"
    folder.mkdir(parents=True)
    (folder / "pug_1.jpg").write_bytes(IMAGES["images/pug_1.jpg"])
    source = OxfordPets(tmp_path)
    source.prepare()
    assert source.listing().files == ("pug_1.jpg",)
    assert not server.requests
    with pytest.raises(FileNotFoundError, match=r"method=official needs .*annotations/trainval\.txt"):
        source.official()


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def other(content: bytes) -> bytes:
    return archive({"images/pug_1.jpg": b"\xff\xd8\xff another"})


@pytest.mark.parametrize("spoil", [cut, other])
def test_a_broken_archive_is_never_taken_for_a_good_one(server: Server, tmp_path: Path, spoil: Any) -> None:
    good = archive(IMAGES)
    server.promise(images=good)
    server.serve("images", spoil(good))
    source = OxfordPets(tmp_path)
    with pytest.raises(ConnectionError, match=r"images\.tar\.gz cannot be fetched"):
        source.prepare()
    assert not source.root.exists()

    # Run again once the server is well: the first archive is not fetched anew.
    server.serve("images", good)
    server.requests.clear()
    source.prepare()
    assert len(source.listing().files) == 4
    assert not [path for path in server.requests if "annotations" in path]


def test_a_killed_run_leaves_nothing_behind(server: Server, tmp_path: Path) -> None:
    base = tmp_path / "oxford-iiit-pet"
    (base / ".unpacking" / "images").mkdir(parents=True)
    (base / ".unpacking" / "images" / "half_1.jpg").write_bytes(b"")
    (base / "images.tar.gz").write_bytes(cut(archive(IMAGES)))
    source = OxfordPets(tmp_path)
    source.prepare()
    assert "half_1.jpg" not in source.listing().files
    assert not (base / ".unpacking").exists()


def test_offline_is_one_line_with_a_way_out(server: Server, tmp_path: Path) -> None:
    for path in server.folder.iterdir():
        path.unlink()
    with pytest.raises(ConnectionError) as error:
        OxfordPets(tmp_path).prepare()
    assert isinstance(error.value.__cause__, HTTPError)
    error.value.__cause__.close()
    message = str(error.value)
    assert "\n" not in message
    assert f"{server.url}/annotations.tar.gz cannot be fetched (HTTP Error 404" in message
    assert "data.root=" in message
    assert "experiment=demo" in message


def link(kind: bytes, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo("images/link.jpg")
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    "evil",
    [
        archive(IMAGES | {"../../evil.txt": b"x"}),
        archive(IMAGES | {"images/../../../evil.txt": b"x"}),
        archive(IMAGES | {"/tmp/pets-evil.txt": b"x"}),
        archive(IMAGES, link(tarfile.SYMTYPE, "/etc")),
        archive(IMAGES, link(tarfile.LNKTYPE, "images/pug_1.jpg")),
        archive(IMAGES, link(tarfile.FIFOTYPE, "")),
    ],
    ids=["parent", "deep parent", "absolute", "symbolic link", "hard link", "pipe"],
)
def test_a_member_outside_is_refused(server: Server, tmp_path: Path, evil: bytes) -> None:
    server.promise(images=evil)
    source = OxfordPets(tmp_path / "inner")
    with pytest.raises(ValueError, match=r"refused to unpack '.*(evil|link)"):
        source.prepare()
    assert not source.root.exists()
    assert not list(tmp_path.rglob("evil.txt"))
    assert not Path("/tmp/pets-evil.txt").exists()


def test_the_addresses_are_those_of_torchvision() -> None:
    urls = [url for url, _ in private_api.oxford_pets_archives()]
    assert all(re.fullmatch(r"https://.*/(images|annotations)\.tar\.gz", url) for url in urls)
