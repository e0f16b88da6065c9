"""Requests that are sent by halves, and more connections than there are file descriptors."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from records.settings import Settings
from service import connections, limits
from tests.patience import DEADLINE_S, until
from tests.served import Served, open_http
from tests.service.kit import begun, begun_put, declare, in_thread, noise, problem_of, put, show

HALF_A_HEAD = b"GET /v1/health HTTP/1.1\r\nHost: x\r\nX-Slow: "


def connect(url: str, content: bytes = b"", source: str = "127.0.0.1") -> socket.socket:
    """A connection from an address that has sent this."""
    port = httpx.URL(url).port
    found = socket.create_connection(("127.0.0.1", port or 80), DEADLINE_S, source_address=(source, 0))
    found.sendall(content)
    return found


def all_of(connection: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    found = b""
    while more := connection.recv(65_536):
        found += more
    return found


def problem_in(answer: bytes, status: int) -> dict[str, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode()), answer
    assert b"application/problem+json" in head
    assert b"Retry-After: 5" in head
    return dict(json.loads(body))


def test_a_head_that_does_not_come_in_time_is_answered_with_408(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HEAD_S", 0.05)
    with connect(api.url, HALF_A_HEAD) as connection:
        assert "within 0.05 s" in problem_in(all_of(connection), 408)["detail"]
    with connect(api.url) as connection:
        assert all_of(connection) == b""  # who says nothing is told nothing


def test_the_second_request_of_a_connection_has_a_time_limit_too(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HEAD_S", 0.05)
    with connect(api.url, b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n" + HALF_A_HEAD) as connection:
        first, _, second = all_of(connection).partition(b"HTTP/1.1 408")
    assert first.startswith(b"HTTP/1.1 200")
    assert second


def test_a_body_that_does_not_come_in_time_is_answered_with_408(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BODY_S", 0.05)
    headers = {"Content-Type": "application/json"}  # without a token: the body is read first
    with begun(api.client, "POST", "/v1/checkpoints", b"{", 100, headers) as connection:
        problem_in(all_of(connection), 408)


def test_a_body_that_nobody_reads_is_not_waited_for(api: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_S", 0.05)
    with begun(api.client, "PUT", "/v1/checkpoints/upload?model=m", b"x", 10**12, {}) as connection:
        assert all_of(connection).startswith(b"HTTP/1.1 401")


def test_an_upload_that_stalls_is_ended_and_its_bytes_are_kept(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = noise(1000)
    declared = declare(api.client, content)
    monkeypatch.setattr(limits, "STALL_S", 0.05)
    path = f"/v1/checkpoints/{declared['id']}/content"
    with begun_put(api.client, path, content[:600], 1000) as connection:
        all_of(connection)
    until(lambda: show(api.client, declared["id"])["received_bytes"] == 600)
    monkeypatch.undo()
    assert put(api.client, declared["id"], content[600:], 600, 1000).json()["state"] == "ingesting"


def test_a_newcomer_takes_the_place_of_the_one_that_was_waited_for_longest(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.client.close()
    until(lambda: connections_of(api) == 0)
    monkeypatch.setattr(connections, "most", lambda: 4)  # two of one address
    with connect(api.url, HALF_A_HEAD) as first, connect(api.url, HALF_A_HEAD) as second:
        until(lambda: heads_begun(api) == 2)
        with connect(api.url, b"GET /v1/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") as third:
            assert all_of(third).startswith(b"HTTP/1.1 200")
        assert "Too many connections" in problem_in(all_of(first), 408)["detail"]
        second.sendall(b"1\r\nConnection: close\r\n\r\n")
        assert all_of(second).startswith(b"HTTP/1.1 200")


def test_a_newcomer_is_refused_if_all_others_are_being_answered(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    with api.database.session() as blocker:
        blocker.execute(text("LOCK TABLE worker IN ACCESS EXCLUSIVE MODE"))
        asked = in_thread(lambda: api.client.get("/v1/health"))
        until(lambda: "answer" in stages_of(api))
        monkeypatch.setattr(connections, "most", lambda: 2)  # one of one address
        with connect(api.url) as newcomer:
            assert "connections are open and busy" in problem_in(all_of(newcomer), 503)["detail"]
    assert asked().status_code == 200


def stages_of(api: Served) -> list[str]:
    return [one.stage for one in list(api.server.server_state.connections)]


def heads_begun(api: Served) -> int:
    return sum(bool(one.conn.trailing_data[0]) for one in list(api.server.server_state.connections))


def connections_of(api: Served) -> int:
    return len(api.server.server_state.connections)


def test_a_team_has_so_many_uploads_open_and_declared(api: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    content = noise(100)
    with ExitStack() as stack:
        for _ in range(limits.MAX_OPEN_UPLOADS_OF_A_TEAM):
            stack.enter_context(begun_put(api.client, "/v1/checkpoints/upload?model=m", content[:10], 100))
        open_now = api.app.state.open_uploads._open
        until(lambda: open_now.total() == limits.MAX_OPEN_UPLOADS_OF_A_TEAM)
        refused = api.client.put("/v1/checkpoints/upload?model=m", content=content)
        found = problem_of(refused, 429)
        assert (found["limit"], found["used"], found["allowed"]) == ("open uploads", 16, 16)
        assert "Team 'default' has 16 uploads open" in found["detail"]
        with api.client_of("vision") as other:
            assert other.put("/v1/checkpoints/upload?model=m", content=content).status_code == 201
    until(lambda: api.client.put("/v1/checkpoints/upload?model=m", content=content).status_code == 201)
    monkeypatch.setattr("service.checkpoints.service.MAX_DECLARED", 2)
    first, _ = (declare(api.client, noise(10, seed), model="d") for seed in (1, 2))
    body = {"model": "d", "size_bytes": 10, "sha256": "0" * 64}
    found = problem_of(api.client.post("/v1/checkpoints", json=body), 429)
    assert (found["used"], found["allowed"]) == (2, 2)
    assert "a week after its last byte" in found["detail"]
    assert put(api.client, first["id"], noise(10, 1)).status_code == 200
    assert api.client.post("/v1/checkpoints", json=body).status_code == 201


@pytest.fixture
def process(settings: Settings) -> Iterator[str]:
    """The address of a service in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "BROKER_URL": settings.broker_url.get_secret_value(),
        "STORE_URL": settings.store_url,
        "PORT": str(port),
    }
    environment = os.environ | {f"VCPBENCH_{name}": value for name, value in words.items()}
    command = [sys.executable, "-m", "service"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as started:
        url = f"http://127.0.0.1:{port}"
        resource.prlimit(started.pid, resource.RLIMIT_NOFILE, (1024, 1024))
        until(lambda: healthy(url), hopeless=lambda: started.poll() is not None)
        yield url
        started.terminate()


def healthy(url: str) -> bool:
    try:
        with open_http(url) as client:
            return client.get("/v1/health").status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def many_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, before[1]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_1100_half_sent_requests_leave_a_place_for_everybody_else(process: str) -> None:
    """Before, they took all 1,024 file descriptors, and nobody else was answered until they went away."""
    with many_files(), ExitStack() as stack:
        for _ in range(1100):
            stack.enter_context(connect(process, HALF_A_HEAD))
        for source in ("127.0.0.1", "127.0.0.2"):
            health = b"GET /v1/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            with connect(process, health, source) as reader:
                assert all_of(reader).startswith(b"HTTP/1.1 200"), source
