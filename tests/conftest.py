"""Real engines for the tests: started once, a database of its own for every test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from records.db import Database
from records.settings import Settings
from tests.databases import Databases
from tests.patience import DEADLINE_S
from tests.served import Served, serve, settings_in
from tests.shared import SHARED, SharedTests
from tests.workers import WorkerProcess

STARTED = frozenset({"engines", "browser"})  # fixtures that start programs: whatever asks for one is slow

GIVEN = os.environ.get("VCPBENCH_TEST_DATABASE_URL"), os.environ.get("VCPBENCH_TEST_BROKER_URL")


def pytest_configure(config: pytest.Config) -> None:
    """Watch over the tests that need ../shared."""
    config.pluginmanager.register(SharedTests(SHARED))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what a mark implies. The files with the longest tests begin first, so that none ends alone."""
    for item in items:
        if item.get_closest_marker("product"):
            item.add_marker(pytest.mark.long)
        if item.get_closest_marker("long") or STARTED & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
    first = {item.path for item in items if item.get_closest_marker("product")}
    items.sort(key=lambda item: item.path not in first)


@pytest.fixture(scope="session", autouse=True)
def keep_out_of_the_users_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Built-in videos and caches lie in a folder that all of pytest's processes share and nobody else."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("VCPBENCH_DATA", "VCPBENCH_CACHE"):
            patch.setenv(variable, str(shared / variable.lower()))
        yield


@pytest.fixture(autouse=True)
def keep_the_priority() -> Iterator[None]:
    """No test leaves its process at a real-time priority, as SVT-AV1's encoder does: others would starve."""
    before = os.sched_getscheduler(0)
    yield
    assert os.sched_getscheduler(0) == before


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """URLs of a PostgreSQL server and of a Valkey; those of the environment, where it has some."""
    if GIVEN[0] and GIVEN[1]:
        yield GIVEN[0], GIVEN[1]
        return
    import psycopg

    from stack.engines import ROLE, start_engines

    with start_engines(tmp_path_factory.mktemp("engines"), durable=False) as started:
        with psycopg.connect(started.postgres.admin_url(), autocommit=True) as connection:
            connection.execute(f"ALTER ROLE {ROLE} CREATEDB")  # each test has a database of its own
            connection.execute(f"GRANT SET ON PARAMETER session_replication_role TO {ROLE}")
        yield started.database_url, started.broker_url


@pytest.fixture(scope="session")
def databases(engines: tuple[str, str]) -> Iterator[Databases]:
    """Empty, migrated databases; dropped at the end where the server stays.

    A server of our own goes with its folder: dropping hundreds of databases one by one took minutes.
    """
    found = Databases(engines[0])
    yield found
    if all(GIVEN):
        found.drop()
    found.close()


@pytest.fixture
def settings(
    engines: tuple[str, str], databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """Settings of an installation of this test's own; leases are the product's, so none ends by itself.

    A service waits for locks as long as a test does. On a busy machine, forty requests take longer than the
    product's limits until all of them wait.
    """
    for limit in ("LOCK_TIMEOUT_S", "STATEMENT_TIMEOUT_S"):
        monkeypatch.setattr(f"service.app.{limit}", DEADLINE_S)
    with databases.lend() as database_url:
        yield settings_in(tmp_path, database_url, engines[1], max_upload_bytes=50_000_000)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """The test's database."""
    found = Database(settings.database_url.get_secret_value())
    yield found
    found.dispose()


@pytest.fixture
def api(settings: Settings) -> Iterator[Served]:
    """The service over real HTTP, and a client with an administrator's token."""
    with serve(settings) as served:
        yield served


@pytest.fixture
def start_worker(settings: Settings, tmp_path: Path) -> Iterator[Callable[..., WorkerProcess]]:
    """Starts worker processes; those that still live at the end are killed."""
    started: list[WorkerProcess] = []

    def start(**changes: str) -> WorkerProcess:
        started.append(WorkerProcess(settings, tmp_path / f"worker-{len(started)}.log", changes))
        return started[-1]

    yield start
    for worker in started:
        worker.kill()
