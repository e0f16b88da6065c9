"""Clients of a real service, over good and bad lines."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from vcpbench_client import Client

from tests.client.hands import Hands
from tests.client.line import Line
from tests.forked import run_vcpbench
from tests.served import Served
from tests.service.finished import ready_dataset
from tests.service.kit import noise

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def token_of(api: Served) -> str:
    return api.client.headers["Authorization"].removeprefix("Bearer ")


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No login of whoever runs the tests, no proxy or certificates, and pauses that a test can wait for."""
    for name in (
        "VCPBENCH_DATASET",
        "VCPBENCH_PROTOCOL",
        "VCPBENCH_URL",
        "VCPBENCH_TOKEN",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("vcpbench_client.patience.FIRST_PAUSE_S", 0.02)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The client's pauses, which are not made; other threads of the process sleep as ever."""
    pauses: list[float] = []
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=pauses.append)
    monkeypatch.setattr("vcpbench_client.patience.time", clock)
    return pauses


@pytest.fixture
def run(api: Served, tmp_path: Path) -> Run:
    """Runs a command, logged in by environment."""

    def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        login = {"VCPBENCH_URL": api.url, "VCPBENCH_TOKEN": token_of(api)}
        return run_vcpbench(
            *words, cwd=tmp_path, env={**os.environ, **login, "COLUMNS": "100", **environment}
        )

    return run


@pytest.fixture
def client(api: Served) -> Iterator[Client]:
    with Client(api.url, token_of(api)) as client:
        yield client


@pytest.fixture
def line(api: Served) -> Iterator[Line]:
    """A line to the service that can be made bad."""
    line = Line(api.url)
    yield line
    line.close()


@pytest.fixture
def far(api: Served, line: Line) -> Iterator[Client]:
    """A client at the other end of the line."""
    with Client(line.url, token_of(api), patience_s=20) as client:
        yield client


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A file of no format; nobody looks inside. Three parts of a megabyte and a rest."""
    path = tmp_path / "model.pt"
    path.write_bytes(noise(3_300_000))
    return path


@pytest.fixture
def hands(api: Served) -> Iterator[Hands]:
    """A worker, and a dataset that is ready."""
    with api.database.session() as session:
        ready_dataset(session)
    hands = Hands(api.database, api.app.state.storage)
    yield hands
    hands.stop()
