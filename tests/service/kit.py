"""What the service's tests share: bytes, dropped connections, what lies in the store."""

from __future__ import annotations

import json
import random
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from sqlalchemy import event, func, select, text

from records.db import Database
from records.models import Checkpoint, Job, JobKind, UploadPart
from records.settings import Settings
from tests.patience import DEADLINE_S
from tests.served import Served, sha256

PROBLEM = "application/problem+json"


def noise(num_bytes: int, seed: int = 0) -> bytes:
    """Bytes of no format; the service does not look inside."""
    return random.Random(seed).randbytes(num_bytes)


def declare(client: httpx.Client, content: bytes, model: str = "tiny", **more: Any) -> dict[str, Any]:
    """Say what will come."""
    body = {"model": model, "size_bytes": len(content), "sha256": sha256(content), **more}
    response = client.post("/v1/checkpoints", json=body)
    assert response.status_code in (200, 201), response.text
    return dict(response.json())


def put(
    client: httpx.Client, checkpoint_id: str, content: Any, begin: int | None = None, size: int = 0
) -> Any:
    """Send bytes; those from `begin` on, of `size` in all, if that is given."""
    span = {} if begin is None else {"Content-Range": f"bytes {begin}-{begin + len(content) - 1}/{size}"}
    return client.put(f"/v1/checkpoints/{checkpoint_id}/content", content=content, headers=span)


def show(client: httpx.Client, checkpoint_id: str) -> dict[str, Any]:
    return dict(client.get(f"/v1/checkpoints/{checkpoint_id}").json())


def problem_of(response: httpx.Response, status: int) -> dict[str, Any]:
    """The problem, once it is made sure that it is a whole one."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == PROBLEM
    found = dict(response.json())
    assert found["status"] == status
    assert all(isinstance(found[name], str) and found[name] for name in ("type", "title", "detail"))
    return found


def folder_of(settings: Settings) -> Path:
    """Where the store's objects are."""
    return Path(urlsplit(settings.store_url).path)


def objects(settings: Settings) -> dict[str, bytes]:
    """Every file of the store by its key, those half-written included."""
    root = folder_of(settings)
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def one_shot(client: httpx.Client, content: Any, **query: Any) -> httpx.Response:
    """Upload in one go."""
    return client.put("/v1/checkpoints/upload", params={"model": "tiny", **query}, content=content)


def stored(settings: Settings, content: bytes) -> bool:
    """Whether the store holds these bytes as a checkpoint, and nothing that is half a one."""
    return objects(settings) == {f"checkpoints/{sha256(content)}": content}


def num_rows(api: Served, kind: type[Checkpoint | UploadPart | Job]) -> int:
    with api.database.session() as session:
        return session.scalar(select(func.count()).select_from(kind)) or 0


def ingests(api: Served) -> list[str]:
    """Checkpoints that a worker shall read."""
    with api.database.session() as session:
        jobs = session.scalars(select(Job).where(Job.kind == JobKind.INGEST)).all()
        return [str(job.checkpoint_id) for job in jobs]


def begun_put(
    client: httpx.Client, path: str, content: bytes, length: int, span: str | None = None
) -> socket.socket:
    """A PUT that said `length` bytes and has sent these; closing the socket breaks it off."""
    headers = {"Authorization": client.headers["Authorization"]}
    return begun(client, "PUT", path, content, length, headers | ({"Content-Range": span} if span else {}))


def begun(
    client: httpx.Client, method: str, path: str, content: bytes, length: int, headers: dict[str, str]
) -> socket.socket:
    """As `begun_put`, with any method and headers."""
    base = client.base_url
    connection = socket.create_connection((base.host, base.port or 80), timeout=DEADLINE_S)
    lines = {"Host": base.host, "Content-Length": length, **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    connection.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content)
    return connection


@contextmanager
def statements(api: Served) -> Iterator[list[tuple[str, int]]]:
    """Each statement that is sent to the database meanwhile, with the number of its parameters."""
    found: list[tuple[str, int]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        found.append((statement, len(parameters)))

    event.listen(api.database.engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(api.database.engine, "before_cursor_execute", note)


class Slow:
    """A body whose second half is sent when told."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.half_sent, self.go_on = threading.Event(), threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        middle = len(self.content) // 2
        yield self.content[:middle]
        self.half_sent.set()
        assert self.go_on.wait(DEADLINE_S)
        yield self.content[middle:]


def in_thread(call: Callable[[], Any]) -> Callable[[], Any]:
    """Run it beside; gives what waits for its result."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(call()), daemon=True)
    thread.start()

    def wait() -> Any:
        thread.join(DEADLINE_S)
        assert found, "it did not end, or raised"
        return found[0]

    return wait


def canonical(value: object) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def every_route(app: FastAPI) -> list[tuple[str, str, APIRoute]]:
    """Method, address and route of all that the application answers, pages included; ids are of nothing."""
    found = []
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute):
            address = re.sub(r"{\w+(:\w+)?}", "0123456789", str(context.path))
            found += [(method, address, route) for method in sorted(route.methods)]
    assert len(found) > 30
    return found


def num_waiting(database: Database) -> int:
    """How many transactions wait for a lock."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with database.session() as session:  # anew for each look: a transaction sees one state of this view
        return session.scalar(waiting) or 0
