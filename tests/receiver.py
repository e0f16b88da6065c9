"""A receiver of webhooks on loopback that fails, hangs, breaks off and restarts, as it is told.

It checks signatures by the recipe of docs/events.md, and drops a delivery whose id it has seen.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.docs.examples import ROOT, blocks_of

PAGE = "docs/events.md"


def recipe() -> dict[str, Any]:
    """The names that the Python of docs/events.md defines."""
    names: dict[str, Any] = {}
    (block,) = (one for one in blocks_of(PAGE, (ROOT / PAGE).read_text()) if one.language == "python")
    exec(block.text, names)  # the code is the tree's own
    return names


IS_GENUINE: Callable[[str, bytes, str | None, float], bool] = recipe()["is_genuine"]


@dataclass
class Attempt:
    """One request: what came, and what the receiver did with it."""

    did: str
    delivery: str
    headers: dict[str, str]
    body: bytes
    genuine: bool


@dataclass
class Receiver:
    """A receiver that may be stopped and started again at the same port.

    Attributes:
        secret: The key of signatures.
        script: What it does with the next requests: "fail", "hang", "drip", "redirect", "break" (take the
            delivery, and close the connection without an answer). When the script is over, it takes all.
        tls: Shows a certificate.
        attempts: All requests.
        taken: The ids of the deliveries that it acted on, in order.
    """

    secret: str = ""
    script: list[str] = field(default_factory=list)
    tls: ssl.SSLContext | None = None
    attempts: list[Attempt] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    port: int = 0
    location: str = "https://example.org/"

    def start(self) -> None:
        """Listen."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver._receive(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._let_go = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening. Who connects is refused."""
        self._let_go.set()
        self._server.shutdown()
        self._server.server_close()

    def url(self, host: str = "127.0.0.1") -> str:
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://{host}:{self.port}/hook?for=us"

    def _receive(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        headers = dict(request.headers)
        genuine = IS_GENUINE(self.secret, body, headers.get("VCPBench-Signature"), time.time())
        did = self.script.pop(0) if self.script else "take"
        attempt = Attempt(did, headers["VCPBench-Delivery"], headers, body, genuine)
        self.attempts.append(attempt)
        if did == "hang":
            self._let_go.wait()
        elif did == "drip":
            request.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
            while not self._let_go.wait(0.02):
                try:
                    request.wfile.write(b"x")
                except OSError:
                    return
        elif did == "redirect":
            request.send_response(302)
            request.send_header("Location", self.location)
            request.end_headers()
        elif did == "fail":
            request.send_error(500)
        else:
            if attempt.delivery not in self.taken:
                self.taken.append(attempt.delivery)
            if did != "break":
                request.send_response(204)
                request.end_headers()
