"""The service in this process, over real HTTP."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from records.db import Database
from records.repositories import tokens
from records.settings import Settings
from service.app import checked_app


@dataclass(frozen=True)
class Served:
    """A running service.

    Attributes:
        client: With an administrator's token of team "default".
        url: Where it listens.
        app: The application itself.
    """

    client: httpx.Client
    url: str
    app: FastAPI

    @property
    def database(self) -> Database:
        found: Database = self.app.state.database
        return found

    def client_of(self, team: str, *, admin: bool = False) -> httpx.Client:
        """A client with a new token."""
        with self.database.session() as session:
            _, secret = tokens.create(session, name=team, team=team, admin=admin)
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {secret}"}, timeout=30)

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

    def follow(
        self, evaluation_id: str, *, until: tuple[str, ...] = ("done",), timeout_s: float = 120
    ) -> Any:
        """Poll until the evaluation is in one of these states; any other end fails the test."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            found = self.client.get(f"/v1/evaluations/{evaluation_id}").json()
            if found["state"] in until:
                return found
            assert found["state"] not in ("done", "failed", "cancelled"), found
            time.sleep(0.2)
        raise AssertionError(f"still {found['state']} after {timeout_s} s: {found}")


@contextmanager
def serve(settings: Settings) -> Iterator[Served]:
    """Run the service in a thread, on a free port."""
    app = checked_app(settings)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
        assert thread.is_alive(), "the service did not start"
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    with app.state.database.session() as session:
        _, secret = tokens.create(session, name="test", team="default", admin=True)
    headers = {"Authorization": f"Bearer {secret}"}
    try:
        with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
            yield Served(client, url, app)
    finally:
        server.should_exit = True
        thread.join(10)


def sha256(content: bytes) -> str:
    """As a client declares it."""
    return hashlib.sha256(content).hexdigest()
