"""Proxies and certificates that are wrong: one line that names the variable, and never a traceback."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import certifi
import pytest

from tests.client.certificates import server_side, write_certificate
from tests.forked import run_vcpbench

pytestmark = pytest.mark.slow

Start = Callable[..., str]


class Handler(BaseHTTPRequestHandler):
    """Says `status` to whatever comes; a page of datasets where that is 200."""

    status = 200

    def do_GET(self) -> None:
        """Answer."""
        body = b'{"items": [], "total": 0}'
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_CONNECT = do_GET

    def log_message(self, *_: object) -> None:
        """Tests are quiet."""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts servers, or proxies, with an answer of their own; gives their addresses."""
    running: list[ThreadingHTTPServer] = []

    def start(status: int = 200, *, tls: bool = False) -> str:
        kind = type("Handler", (Handler,), {"status": status})
        server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that hangs up
        if tls:
            server.socket = server_side(tmp_path).wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        return f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def ask(url: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`vcpbench datasets`, with nothing but these variables."""
    unset = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file", "ssl_cert_dir")
    clean = {name: value for name, value in os.environ.items() if name.lower() not in unset}
    login = {"VCPBENCH_URL": url, "VCPBENCH_TOKEN": "vcp_x"}
    return run_vcpbench("datasets", cwd=Path.cwd(), env={**clean, **login, **environment})


def the_line(found: subprocess.CompletedProcess[str]) -> str:
    """What an error says, which is one line, and the exit code 2."""
    assert (found.returncode, found.stdout) == (2, ""), found.stderr
    (line,) = found.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("HTTP_PROXY", "garbage", "cannot be reached through the proxy of HTTP_PROXY='garbage'"),
        ("http_proxy", "127.0.0.1:1", "cannot be reached through the proxy of http_proxy='127.0.0.1:1'"),
        ("ALL_PROXY", "http://127.0.0.1:1", "unset ALL_PROXY or name the server in NO_PROXY"),
        ("HTTPS_PROXY", "socks5://127.0.0.1:1080", "needs the package socksio"),
        ("HTTPS_PROXY", "ftp://proxy", "HTTPS_PROXY='ftp://proxy' is no address of a proxy"),
        ("ALL_PROXY", "http://[::1", "ALL_PROXY='http://[::1' is no address of a proxy"),
        ("HTTP_PROXY", "http://a..b:3128", "HTTP_PROXY='http://a..b:3128' names a host that cannot"),
        ("HTTP_PROXY", "http://me:secret/word@h:1", "HTTP_PROXY='http://***@h:1' is no address of a proxy"),
        ("HTTP_PROXY", "http://me:secret@127.0.0.1:1", "HTTP_PROXY='http://***@127.0.0.1:1': "),
        ("NO_PROXY", "example.org:port", "NO_PROXY='example.org:port' cannot be used"),
        ("SSL_CERT_FILE", "/nowhere.pem", "SSL_CERT_FILE='/nowhere.pem' cannot be used: No such file"),
        ("SSL_CERT_FILE", "/", "SSL_CERT_FILE='/' cannot be used: it is a folder"),
        ("SSL_CERT_FILE", __file__, "it holds no certificates in PEM form. Correct it or unset it."),
        ("SSLKEYLOGFILE", "/nowhere/keys", "SSLKEYLOGFILE='/nowhere/keys' cannot be used: No such file"),
        ("VCPBENCH_URL", "localhost:8080", "VCPBENCH_URL: 'localhost:8080' is no address"),
        ("VCPBENCH_URL", "http://me:secret@host", "VCPBENCH_URL: This is no address of a server: a user"),
        ("VCPBENCH_URL", "http://a..b", "http://a..b names a host that cannot be looked up"),
        ("VCPBENCH_URL", "http://256.1.1.1", "http://256.1.1.1 names a host that cannot be looked up"),
        ("VCPBENCH_TOKEN", "vcp two", "VCPBENCH_TOKEN: The token holds characters that no token has"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_the_variable(
    start: Start, name: str, value: str, says: str
) -> None:
    line = the_line(ask(**{"url": start(), name: value}) if name != "VCPBENCH_URL" else ask(value))
    assert says in line
    assert name in line or name == "VCPBENCH_URL"
    assert "secret" not in line


def test_a_proxy_is_used_unless_no_proxy_names_the_server(start: Start) -> None:
    proxy, gone = start(), "http://127.0.0.1:1"
    assert ask("http://anywhere.invalid", HTTP_PROXY=proxy).returncode == 0
    assert ask(start(), HTTP_PROXY=gone, NO_PROXY="127.0.0.1").returncode == 0


@pytest.mark.parametrize("url", ["http://anywhere.invalid", "https://anywhere.invalid"])
def test_a_proxy_that_wants_a_password_is_named_with_the_way_to_give_one(start: Start, url: str) -> None:
    name = f"{url.partition(':')[0].upper()}_PROXY"
    proxy = start(407)
    line = the_line(ask(url, **{name: proxy.replace("http://", "http://me:secret@")}))
    shown = proxy.replace("http://", "http://***@")
    assert f"the proxy of {name}='{shown}' answers 407 Proxy Authentication Required" in line
    assert f"Give your name and password: {name}=http://NAME:PASSWORD@HOST:PORT." in line
    assert "secret" not in line


def test_a_proxy_that_forbids_the_way_is_named(start: Start) -> None:
    proxy = start(403)
    line = the_line(ask("https://anywhere.invalid", HTTPS_PROXY=proxy))
    assert f"the proxy of HTTPS_PROXY='{proxy}' answers 403 Forbidden" in line


def test_a_certificate_that_is_not_trusted_is_said_with_the_variable_that_would(
    start: Start, tmp_path: Path
) -> None:
    url, certificate = start(tls=True), write_certificate(tmp_path)
    line = the_line(ask(url))
    assert f"{url}: its certificate is not trusted: self-signed certificate" in line
    assert "Let SSL_CERT_FILE name a PEM file" in line
    assert "(SSL_CERT_FILE is not set)" in line
    assert ask(url, SSL_CERT_FILE=str(certificate)).returncode == 0


def test_settings_that_do_not_hold_the_certificate_are_named(start: Start, tmp_path: Path) -> None:
    url = start(tls=True)
    others = certifi.where()
    assert f"(SSL_CERT_FILE='{others}' does not hold it)" in the_line(ask(url, SSL_CERT_FILE=others))
    assert f"(SSL_CERT_DIR='{tmp_path}' does not hold it)" in the_line(ask(url, SSL_CERT_DIR=str(tmp_path)))
    missing = the_line(ask(url, SSL_CERT_DIR="/nowhere"))
    assert "SSL_CERT_DIR='/nowhere' is no folder. Correct it or unset it." in missing
    line = the_line(ask(url, REQUESTS_CA_BUNDLE="/nowhere.pem"))
    assert line.endswith("(SSL_CERT_FILE is not set). REQUESTS_CA_BUNDLE is not read.")


def test_https_to_a_server_that_speaks_http_says_so(start: Start) -> None:
    url = start().replace("http:", "https:")
    assert "no TLS is spoken there. Is it http:// instead?" in the_line(ask(url))
