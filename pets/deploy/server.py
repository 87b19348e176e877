"""The server of task=serve: predictions and Grad-CAM of photographs, and the labels that people correct.

Standard library only. A request names no file: it brings bytes, and gets what the model makes of them.
"""

import ipaddress
import json
import logging
import socket
import threading
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pets.deploy.corrections import Corrections
from pets.deploy.page import answer, heat_picture, page_and_policy
from pets.deploy.predictor import Predictor
from pets.errors import UserError

MAX_BODY = 2**26
"""Bytes of a photograph that is sent; cameras write less than half of it."""
CONNECTIONS = 16
"""Connections that are answered at once; further ones wait."""
SECONDS = 60.0
"""From a connection to its end, whatever the other side does in between."""

log = logging.getLogger(__name__)


class PredictionServer(ThreadingMixIn, HTTPServer):
    """Serves the page, `GET /model`, `POST /predict`, `POST /gradcam` and `POST /correct?label=...`.

    Photographs are the bodies of the requests. One is computed at a time, as memory and cores suffice for one. Port 0
    takes a free one.

    Raises:
        UserError: The address cannot be listened on.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(
        self, predictor: Predictor, corrections: Corrections, host: str = "127.0.0.1", port: int = 8000
    ) -> None:
        self.predictor = predictor
        self.corrections = corrections
        self.host = host
        self.computing = threading.Lock()
        self._free = threading.BoundedSemaphore(CONNECTIONS)
        self.page, self.policy = page_and_policy()
        try:
            self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise UserError(
                f"serve.host={host} serve.port={port}: {error.strerror}; serve.port=0 takes a free port"
            ) from None

    @property
    def url(self) -> str:
        """The page's address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.server_port}"

    def server_bind(self) -> None:
        """Listen, without http.server's question to the name server."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.host, self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, when one is free."""
        self._free.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and hang up when the time is over."""
        deadline = threading.Timer(SECONDS, _hang_up, [request])
        deadline.daemon = True
        deadline.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            deadline.cancel()
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that went away."""
        log.debug("a connection ended early", exc_info=True)

    def trusts(self, host: str | None) -> bool:
        """Tell whether a Host header can be meant for this server.

        A name of someone else's that leads here (DNS rebinding) is refused; an address cannot be one.
        """
        try:
            name = urlsplit(f"//{host or ''}").hostname or ""
        except ValueError:
            return False
        if name in ("localhost", self.host.lower()):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _hang_up(request: socket.socket) -> None:
    try:
        request.shutdown(socket.SHUT_RDWR)
    except OSError:
        log.debug("the connection is closed already")


class _Refused(Exception):
    """A request that gets an error instead of an answer."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    """One request; HTTP/1.0, so that a connection ends with its answer."""

    server: PredictionServer
    server_version, sys_version = "pets", ""

    def do_GET(self) -> None:
        self._respond({"/": self._page, "/model": self._model})

    def do_POST(self) -> None:
        self._respond({"/predict": self._predict, "/gradcam": self._gradcam, "/correct": self._correct})

    def _respond(self, routes: Mapping[str, Any]) -> None:
        try:
            self._check_sender()
            target = urlsplit(self.path)
            if target.path not in routes:
                raise _Refused(HTTPStatus.NOT_FOUND, "there is no such page")
            routes[target.path](dict(parse_qsl(target.query, max_num_fields=8)))
        except _Refused as refused:
            self._send_json({"error": str(refused)}, refused.status)
        except ConnectionError:
            raise
        except ValueError as error:
            self._send_json({"error": str(error).removeprefix("<bytes>: ")}, HTTPStatus.BAD_REQUEST)
        except Exception as error:
            log.warning("%s %s: %s", self.command, urlsplit(self.path).path, " ".join(str(error).split()))
            log.debug("a request failed", exc_info=True)
            self._send_json({"error": "the server could not do it; its log says why"}, HTTPStatus.INTERNAL_SERVER_ERROR)

    def _check_sender(self) -> None:
        """Refuse what another site makes a browser send."""
        host, origin = self.headers.get("Host"), self.headers.get("Origin")
        if not self.server.trusts(host):
            raise _Refused(HTTPStatus.FORBIDDEN, "the Host header names another server")
        if origin is not None and origin != f"http://{host}":
            raise _Refused(HTTPStatus.FORBIDDEN, "the request comes from another site")

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or len(length) > 20:
            raise _Refused(HTTPStatus.LENGTH_REQUIRED, "the request must say its Content-Length")
        if int(length) > MAX_BODY:
            raise _Refused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{int(length):,} bytes, more than the {MAX_BODY:,} allowed"
            )
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise _Refused(HTTPStatus.BAD_REQUEST, "the photograph is not whole")
        return body

    def _page(self, query: Mapping[str, str]) -> None:
        self._send(self.server.page, "text/html; charset=utf-8")

    def _model(self, query: Mapping[str, str]) -> None:
        predictor = self.server.predictor
        self._send_json(
            {
                "classes": list(predictor.classes),
                "threshold": predictor.threshold,
                "false_alarms": predictor.metadata.false_alarms,
                "max_bytes": MAX_BODY,
            }
        )

    def _predict(self, query: Mapping[str, str]) -> None:
        photograph = self._body()
        with self.server.computing:
            prediction = self.server.predictor(photograph)
        self._send_json(answer(prediction))

    def _gradcam(self, query: Mapping[str, str]) -> None:
        photograph = self._body()
        with self.server.computing:
            picture = heat_picture(self.server.predictor, photograph)
        self._send(picture, "image/png")

    def _correct(self, query: Mapping[str, str]) -> None:
        label = query.get("label")
        if label not in self.server.predictor.classes:
            raise _Refused(HTTPStatus.BAD_REQUEST, "label= must be a class of the model, see GET /model")
        file = self.server.corrections.add(self._body(), label)
        self._send_json({"file": file, "label": label})

    def _send_json(self, values: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(json.dumps(values).encode(), "application/json", status)

    def _send(self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", self.server.policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the requests off the console."""
        log.debug(format, *args)
