"""The service in this process, over real HTTP."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr

from records import migrate
from records.db import Database
from records.models import Role
from records.repositories import tokens
from records.settings import Settings
from service.__main__ import KEEP_ALIVE_S
from service.app import connect, without_engines
from service.connections import Connection
from tests import patience
from tests.workers import WorkerProcess

DOCUMENT = Path(__file__).with_name("service") / "openapi.json"
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # no TLS is spoken here, and authorities load slowly
idle: list[FastAPI] = []  # applications that nobody uses now
ENDS = ("done", "failed", "cancelled", "ready", "rejected")  # states that nothing leaves


@dataclass(frozen=True)
class Served:
    """A running service.

    Attributes:
        client: With an administrator's token of team "default".
        url: Where it listens.
        app: The application itself.
        server: The server that runs it.
    """

    client: httpx.Client
    url: str
    app: FastAPI
    server: uvicorn.Server

    @property
    def database(self) -> Database:
        found: Database = self.app.state.database
        return found

    def client_of(
        self, team: str, *, admin: bool = False, role: Role = Role.SUBMITTER, days: int | None = None
    ) -> httpx.Client:
        """A client with a new token."""
        role = Role.ADMIN if admin else role
        with self.database.session() as session:
            _, secret = tokens.create(session, name=team, team=team, role=role, days=days)
        headers = {"Authorization": f"Bearer {secret}"}
        return open_http(self.url, headers=headers)

    def upload(self, path: Path, model: str = "tiny", **facts: str) -> dict[str, Any]:
        """Upload in one go."""
        response = self.client.put(
            "/v1/checkpoints/upload", params={"model": model, **facts}, content=path.read_bytes()
        )
        assert response.status_code in (200, 201), response.text
        return dict(response.json())

    def evaluate(self, checkpoint: str, dataset: str, protocol: str = "quick-v1") -> dict[str, Any]:
        """Ask for an evaluation."""
        response = self.client.post(
            "/v1/evaluations", json={"checkpoint": checkpoint, "dataset": dataset, "protocol": protocol}
        )
        assert response.status_code in (200, 201), response.text
        return dict(response.json())

    def follow(self, evaluation_id: str, *, until: tuple[str, ...] = ("done",)) -> Any:
        """Poll until the evaluation is in one of these states; any other end fails the test."""
        return self.poll(f"/v1/evaluations/{evaluation_id}", *until)

    def poll(self, path: str, *states: str) -> dict[str, Any]:
        """What lies at the path, once it is in one of these states; any other end fails the test."""
        found: dict[str, Any] = {}

        def look() -> bool:
            found.update(self.client.get(path).json())
            return found["state"] in states

        def hopeless() -> object:
            return (found["state"] in ENDS and found) or WorkerProcess.casualty()

        patience.until(look, hopeless=hopeless, else_say=lambda: f"not {states}: {found}", every_s=0.1)
        return found


def open_http(url: str, **more: Any) -> httpx.Client:
    """A client of that service."""
    return httpx.Client(base_url=url, timeout=patience.DEADLINE_S, verify=PLAIN, **more)


def settings_in(folder: Path, database_url: str, broker_url: str, **more: Any) -> Settings:
    """Settings of an installation of one test's own."""
    return Settings(
        database_url=SecretStr(database_url),
        broker_url=SecretStr(broker_url),
        store_url=f"file://{folder}/objects",
        scratch=folder / "scratch",
        device="cpu",
        idle_look_s=1.0,
        shard_clips=16,
        **more,
    )


class Told:
    """The application; notes each answer whose status openapi.json does not have for its route.

    Every test that calls the service so checks what the document says. Left out are faults of vcpbench (500),
    wrong methods (405), and the answer to a connection that broke (400 to an upload), which nobody reads.
    """

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self.untold: set[tuple[str, str, int]] = set()
        self._routes = documented()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def noted(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._note(scope["method"], scope["path"], message["status"])
            await send(message)

        await self.app(scope, receive, noted)

    def _note(self, method: str, path: str, status: int) -> None:
        if status in (405, 500) or (status, method) == (400, "PUT"):
            return
        for pattern, item in self._routes:
            if pattern.fullmatch(path) and method.lower() in item:
                if str(status) not in item[method.lower()]["responses"]:
                    self.untold.add((method, path, status))
                return


@functools.cache
def documented() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    """Each address of openapi.json as a pattern, with its methods, the longest first."""
    paths = json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"]
    longest_first = sorted(paths.items(), key=lambda pair: -len(pair[0]))
    return [(re.compile(re.sub(r"{\w+}", ".+", path)), item) for path, item in longest_first]


@contextmanager
def serve(settings: Settings) -> Iterator[Served]:
    """Run the service in a thread, on a free port.

    Applications are used again: to make the routes of one takes longer than most tests.
    """
    app = idle.pop() if idle else without_engines()
    connect(app, settings)
    migrate.check(app.state.database)
    told = Told(app)
    config = uvicorn.Config(
        told,
        port=0,
        http=Connection,
        ws="none",
        log_config=None,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    patience.until(
        lambda: server.started,
        hopeless=lambda: not thread.is_alive() and "the service did not start",
        every_s=0.01,
    )
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    with app.state.database.session() as session:
        _, secret = tokens.create(session, name="test", team="default", role=Role.ADMIN)
    headers = {"Authorization": f"Bearer {secret}"}
    try:
        with open_http(url, headers=headers) as client:
            yield Served(client, url, app, server)
    finally:
        server.should_exit = True
        thread.join(patience.DEADLINE_S)
        idle.append(app)
    assert not told.untold, "openapi.json does not have these statuses"


def sha256(content: bytes) -> str:
    """As a client declares it."""
    return hashlib.sha256(content).hexdigest()
