"""The page's server: the predictor's answers, whoever asks, and nothing for those who should not."""

import http.client
import io
import json
import signal
import socket
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from pets import Predictor
from pets.data.sources.table import CsvTable
from pets.deploy import server as module
from pets.deploy.corrections import Corrections
from pets.deploy.page import PAGE, heat_picture
from pets.deploy.server import PredictionServer
from pets.errors import UserError
from tests.deploy.conftest import BREEDS, SIZE

Reply = tuple[int, Any]


@contextmanager
def serving(predictor: Predictor, table: Path, host: str = "127.0.0.1") -> Iterator[PredictionServer]:
    with PredictionServer(predictor, Corrections(table), host, 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def predictor(exported: Path) -> Predictor:
    return Predictor.load(exported)


@pytest.fixture
def server(predictor: Predictor, tmp_path: Path) -> Iterator[PredictionServer]:
    with serving(predictor, tmp_path / "corrections.csv") as server:
        yield server


@pytest.fixture(scope="module")
def photo(tiny_pets: Path) -> bytes:
    return (tiny_pets / "pug_3.jpg").read_bytes()


def ask(server: PredictionServer, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        content = response.read()
        is_json = response.headers["Content-Type"] == "application/json"
        return response.status, json.loads(content) if is_json else content
    finally:
        connection.close()


def test_the_answer_is_the_predictors(server: PredictionServer, predictor: Predictor, photo: bytes) -> None:
    status, answer = ask(server, "POST", "/predict", photo)
    expected = predictor(photo)
    assert status == 200
    assert answer == {
        "label": expected.label,
        "probability": expected.probability,
        "accepted": True,
        "familiarity": None,
        "top": [{"label": label, "probability": probability} for label, probability in expected.top],
    }


def test_below_the_threshold_it_is_none_of_these(
    predictor: Predictor, photo: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictor, "threshold", 1.0)
    with serving(predictor, tmp_path / "table.csv") as server:
        assert ask(server, "POST", "/predict", photo)[1]["accepted"] is False
        assert ask(server, "GET", "/model")[1]["threshold"] == 1.0


def test_grad_cam_is_a_picture_of_what_the_network_sees(server: PredictionServer, photo: bytes) -> None:
    status, png = ask(server, "POST", "/gradcam", photo)
    assert status == 200
    assert png == heat_picture(server.predictor, photo)
    with Image.open(io.BytesIO(png)) as picture:
        assert (picture.format, picture.size) == ("PNG", (SIZE, SIZE))


def test_many_at_once_get_their_own_answers(server: PredictionServer, tiny_pets: Path) -> None:
    photos = [path.read_bytes() for path in sorted(tiny_pets.glob("*.jpg"))] * 2
    assert len(photos) > module.CONNECTIONS
    with ThreadPoolExecutor(len(photos)) as pool:
        replies = list(pool.map(lambda data: ask(server, "POST", "/predict", data), photos))
    expected = [server.predictor(data) for data in photos]
    assert [status for status, _ in replies] == [200] * len(photos)
    assert np.allclose([one["probability"] for _, one in replies], [one.probability for one in expected], atol=1e-6)
    assert [one["label"] for _, one in replies] == [one.label for one in expected]


def huge_png() -> bytes:
    """The beginning of a picture of 400 million pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
        + bytes(4)
        + b"IDAT"
    )


@pytest.mark.parametrize("path", ["/predict", "/gradcam", f"/correct?label={BREEDS[0]}"])
@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "the file is empty"),
        (b"GIF89a", "cannot be decoded|not an image"),
        (b"%PDF-1.7 not a photograph", "not an image of a known format"),
        (b"/etc/passwd", "not an image of a known format"),
        (huge_png(), "400000000 pixels"),
    ],
    ids=["empty", "cut", "pdf", "a path", "huge"],
)
def test_what_is_no_photograph_is_refused(server: PredictionServer, path: str, body: bytes, says: str) -> None:
    status, answer = ask(server, "POST", path, body)
    assert status == 400
    assert "<bytes>" not in answer["error"]
    assert any(text in answer["error"] for text in says.split("|")), answer
    assert not server.corrections.path.parent.joinpath("photographs").exists()


def test_a_body_that_is_too_large_is_refused_before_it_is_read(server: PredictionServer) -> None:
    reply = raw(server, f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {2**26 + 1}\r\n\r\n")
    assert reply.startswith("HTTP/1.0 413 ")
    assert "67,108,865 bytes, more than the 67,108,864 allowed" in reply


@pytest.mark.parametrize(
    "length", ["", "Content-Length: -1\r\n", "Content-Length: 1e3\r\n", "Transfer-Encoding: chunked\r\n"]
)
def test_a_body_of_no_said_length_is_refused(server: PredictionServer, length: str) -> None:
    assert raw(server, f"POST /predict HTTP/1.1\r\nHost: localhost\r\n{length}\r\n").startswith("HTTP/1.0 411 ")


def test_a_body_that_ends_early_is_refused(server: PredictionServer, photo: bytes) -> None:
    reply = raw(server, f"POST /correct?label=pug HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(photo)}\r\n\r\nx")
    assert reply.startswith("HTTP/1.0 400 ")
    assert "not whole" in reply


def raw(server: PredictionServer, text: str) -> str:
    """Send a text, then nothing more; return all that comes back."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=60) as connection:
        connection.sendall(text.encode())
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65_536), b"")).decode()


def test_whoever_sends_nothing_is_hung_up_on(
    server: PredictionServer, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.2)
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=60) as silent:
        silent.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
        silent.recv(65_536)  # a server that waits for ever would let this time out
        assert silent.recv(65_536) == b""
    monkeypatch.setattr(module, "SECONDS", 60.0)
    assert ask(server, "POST", "/predict", photo)[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example",
                                  "[::1", "a@evil.example", ""])  # fmt: skip
def test_another_name_that_leads_here_is_refused(server: PredictionServer, photo: bytes, host: str) -> None:
    for method, path in (("GET", "/"), ("GET", "/model"), ("POST", "/predict")):
        assert ask(server, method, path, photo, Host=host)[0] == 403


@pytest.mark.parametrize("host", ["localhost", "localhost:9", "127.0.0.1", "[::1]:80", "192.168.1.5:8000"])
def test_its_own_name_and_any_address_are_answered(server: PredictionServer, host: str) -> None:
    assert ask(server, "GET", "/model", Host=host)[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1"])
def test_another_site_can_make_no_browser_correct_labels(server: PredictionServer, photo: bytes, origin: str) -> None:
    assert ask(server, "POST", "/correct?label=pug", photo, Origin=origin)[0] == 403
    assert server.corrections.labels == {}


@pytest.mark.parametrize(
    "path",
    ["/../model.json", "/..%2f..%2fetc/passwd", "/etc/passwd", "//etc/passwd", "/page.html", "/predict/../model",
     "/a\\b",     "/corrections.csv", "/photographs/x.jpg"],
)  # fmt: skip
def test_a_path_reaches_no_file(server: PredictionServer, path: str, photo: bytes) -> None:
    assert ask(server, "GET", path)[0] == 404
    assert ask(server, "POST", path, photo)[0] == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD", "OPTIONS", "BREW"])
def test_other_methods_are_not_known(server: PredictionServer, method: str) -> None:
    assert ask(server, method, "/")[0] == 501


def test_the_page_runs_its_own_script_only(server: PredictionServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port)
    connection.request("GET", "/")
    response = connection.getresponse()
    assert response.read() == PAGE.read_bytes()
    assert "default-src 'none'; script-src 'sha256-" in response.headers["Content-Security-Policy"]
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    connection.close()


def test_corrections_are_a_table_that_data_csv_reads(server: PredictionServer, tiny_pets: Path) -> None:
    photos = [(tiny_pets / f"pug_{number}.jpg").read_bytes() for number in range(3)]
    for photo, label in zip(photos, ("pug", "Birman", "great_pyrenees"), strict=True):
        status, answer = ask(server, "POST", f"/correct?label={label}", photo)
        assert (status, answer["label"]) == (200, label)
    ask(server, "POST", "/correct?label=pug", photos[1])  # thought better of it
    table = CsvTable(server.corrections.path)
    assert len(table.listing().files) == 3
    by_content = {(table.root / file).read_bytes(): label for file, label in table.labels().items()}
    assert by_content == dict(zip(photos, ("pug", "pug", "great_pyrenees"), strict=True))


@pytest.mark.parametrize("label", ["", "Pug", "../pug", "<script>", "=1+1"])
def test_a_label_that_is_no_class_is_refused(server: PredictionServer, photo: bytes, label: str) -> None:
    assert ask(server, "POST", f"/correct?label={quote(label)}", photo)[0] == 400
    assert ask(server, "POST", "/correct", photo)[0] == 400
    assert not server.corrections.path.exists()


def test_corrections_at_once_all_land(server: PredictionServer, tiny_pets: Path) -> None:
    photos = [path.read_bytes() for path in sorted(tiny_pets.glob("*.jpg"))]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda photo: ask(server, "POST", "/correct?label=pug", photo), photos))
    assert len(CsvTable(server.corrections.path).labels()) == len(photos)


def test_photographs_are_written_through_no_link(server: PredictionServer, photo: bytes, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "photographs").symlink_to(tmp_path / "elsewhere")
    assert ask(server, "POST", "/correct?label=pug", photo)[0] == 500
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_port_in_use_is_said(server: PredictionServer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"serve\.port={server.server_port}: .*serve\.port=0 takes a free port"):
        PredictionServer(server.predictor, Corrections(tmp_path / "t.csv"), "127.0.0.1", server.server_port)


def test_a_host_that_is_nowhere_is_said(predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"serve\.host=192\.0\.2\.1"):
        PredictionServer(predictor, Corrections(tmp_path / "t.csv"), "192.0.2.1", 0)


def listen_to_ctrl_c() -> None:
    """Undo what the tests may have inherited: shells start what runs in the background with Ctrl-C ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_task_with_one_line(run_dir: Path, tmp_path: Path, number: signal.Signals) -> None:
    words = [
        "task=serve",
        f"ckpt_path={run_dir}",
        "serve.port=0",
        "predict.device=cpu",
        f"hydra.run.dir={tmp_path / 'run'}",
    ]
    command = [sys.executable, "-m", "pets", *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, preexec_fn=listen_to_ctrl_c
    ) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if "Ctrl-C ends it" in line:
                break
        process.send_signal(number)
        rest, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert any("http://127.0.0.1:" in line for line in said)
    assert rest.strip().endswith("corrections.csv")
    assert len(rest.strip().splitlines()) == 1
    assert errors == ""
