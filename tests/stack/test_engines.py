"""PostgreSQL and Valkey from their wheels."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from sqlalchemy.engine import make_url

from stack.accounts import Account, socket_folder
from stack.engines import EngineError, Engines, start_engines
from vcp_core.catalog.errors import StorageError


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


@pytest.fixture(scope="module")
def started(home: Path) -> Iterator[Engines]:
    with start_engines(home, durable=False) as engines:
        yield engines


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[Engines]:
    """Not started; gone afterwards."""
    found = Engines.in_folder(tmp_path / "data")
    yield found
    found.stop()
    for folder in (found.postgres.folder, found.postgres.sockets):
        shutil.rmtree(folder, ignore_errors=True)


def user_of(pid: int) -> int:
    return os.stat(f"/proc/{pid}").st_uid


def test_nothing_listens_but_private_sockets(started: Engines) -> None:
    folder = started.postgres.sockets
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for engine in (started.postgres, started.valkey):
        assert engine.process is not None
        links = Path(f"/proc/{engine.process.pid}/fd").iterdir()
        sockets = {os.readlink(link)[8:-1] for link in links if os.readlink(link).startswith("socket:")}
        listening = {line.split()[9] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]}
        assert not sockets & listening


@pytest.mark.skipif(os.getuid() != 0, reason="only root has another account to use")
def test_engines_do_not_run_as_root(started: Engines) -> None:
    for engine in (started.postgres, started.valkey):
        assert engine.process is not None
        assert user_of(engine.process.pid) != 0


def test_postgres_wants_its_password(started: Engines) -> None:
    urls = (started.database_url, started.postgres.admin_url())
    for url in urls:
        wrong = url.replace("@", "x@", 1)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)
    for engine in (started.postgres, started.valkey):
        assert engine.process is not None
        command = Path(f"/proc/{engine.process.pid}/cmdline").read_text()
        for url in urls:
            assert str(make_url(url).password) not in command


@pytest.mark.parametrize(
    "statement",
    [
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "COPY (SELECT 1) TO '/tmp/planted'",
        "SELECT pg_read_file('postgresql.conf')",
        "CREATE ROLE other SUPERUSER",
        "ALTER ROLE vcpbench_service SUPERUSER",
        "CREATE DATABASE other",
        "SET ROLE vcpbench",
    ],
)
def test_the_role_of_the_service_may_not(started: Engines, statement: str) -> None:
    with (
        psycopg.connect(started.database_url, autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


def test_what_the_superuser_owned_in_an_older_home_is_the_services(engines: Engines) -> None:
    postgres = engines.postgres
    postgres.start()
    with psycopg.connect(postgres.admin_url(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE vcpbench")
    with psycopg.connect(postgres.admin_url("vcpbench")) as connection:
        connection.execute("CREATE TYPE state AS ENUM ('new')")
        connection.execute("CREATE TABLE job (id serial PRIMARY KEY, state state)")
        connection.execute("CREATE VIEW open AS SELECT * FROM job")
        connection.execute("INSERT INTO job (state) VALUES ('new')")
    for _ in range(2):
        postgres.create_database()
    with psycopg.connect(postgres.url()) as connection:
        connection.execute("ALTER TYPE state ADD VALUE 'old'")
        connection.execute("ALTER TABLE job ADD COLUMN more text")
        connection.execute("INSERT INTO job (more) VALUES ('x')")
        connection.execute("CREATE TABLE other (id int)")
        assert connection.execute("SELECT state FROM open ORDER BY id").fetchall() == [("new",), (None,)]
        connection.execute("DROP VIEW open")


def test_data_survives_a_stop_and_a_kill(engines: Engines) -> None:
    engines.start()
    with psycopg.connect(engines.database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    engines.postgres.stop()
    engines.postgres.start()
    engines.postgres.kill()
    engines.valkey.kill()
    engines.start()
    with psycopg.connect(engines.database_url) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)
    with redis.Redis(unix_socket_path=str(engines.valkey.socket)) as client:
        assert client.ping()


def test_a_lock_whose_number_is_another_programs_by_now_does_not_stop_a_start(engines: Engines) -> None:
    engines.postgres.start()
    engines.postgres.kill()
    lock = engines.postgres.folder / "postgres" / "postmaster.pid"
    lines = lock.read_text().splitlines()
    lock.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    engines.postgres.start()


def test_a_start_waits_for_the_backends_of_a_server_that_was_killed(engines: Engines) -> None:
    engines.postgres.start()
    with psycopg.connect(engines.postgres.admin_url()) as connection:
        held = connection.info.backend_pid
        os.kill(held, signal.SIGSTOP)  # as on a busy machine, where its turn comes later
        engines.postgres.kill()
        threading.Timer(1.0, os.kill, (held, signal.SIGCONT)).start()
        engines.postgres.start()


def test_a_failing_start_says_why(engines: Engines) -> None:
    engines.postgres.prepare()
    (engines.postgres.folder / "postgres" / "PG_VERSION").write_text("9\n")
    with pytest.raises(EngineError, match=r"postgres does not start: .*initialized by PostgreSQL version 9"):
        engines.postgres.start()


def test_a_folder_of_sockets_that_somebody_else_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir(mode=0o777)
    (tmp_path / "s").chmod(0o777)
    with pytest.raises(StorageError, match="not a private folder"):
        Account().own(tmp_path / "s")


def test_paths_of_sockets_are_short_for_any_home(tmp_path: Path) -> None:
    long, other = tmp_path / ("y" * 200), tmp_path / ("z" * 200)
    assert len(os.fsencode(socket_folder(long, long) / ".s.PGSQL.5432")) < 107
    assert socket_folder(long, long) == socket_folder(long, long) != socket_folder(other, other)


@pytest.mark.parametrize("variable", ["XDG_RUNTIME_DIR", "TMPDIR"])
def test_engines_are_found_from_any_environment(
    started: Engines, home: Path, tmp_path: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # XDG_RUNTIME_DIR goes with its user's last session, and cron has none at all.
    monkeypatch.setenv(variable, str(tmp_path))
    found = Engines.in_folder(home, durable=False)
    psycopg.connect(found.database_url).close()
    assert found.valkey.socket == started.valkey.socket
    assert found.valkey.socket.is_socket()


def test_a_missing_wheel_is_named_with_what_to_install(tmp_path: Path) -> None:
    code = (
        "import stack.engines as e, pathlib\n"
        "e.POSTGRES_WHEEL = 'no-such-wheel'\n"
        f"e.Engines.in_folder(pathlib.Path({str(tmp_path / 'x')!r})).postgres.command()"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "no-such-wheel is not installed: pip install 'vcpbench[embedded]'" in run.stderr
