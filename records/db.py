"""The database: one engine, short sessions that commit at their end and wake workers after that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from psycopg import pq
from sqlalchemy import JSON, DateTime, MetaData, TypeDecorator, Uuid, create_engine, event, func, make_url
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from vcp_core.catalog.errors import VcpbenchError

OnNewJobs = Callable[[Counter[str]], None]
CONNECT_TIMEOUT_S = 5
KEPT_CONNECTIONS = 5  # an idle pool keeps these open
POOL_TIMEOUT_S = 10.0
# Linux notices a vanished machine after two hours by default. With these values it takes 10 + 3 * 5 s on a
# silent connection, and 30 s if sent data is not acknowledged. Both are shorter than a lease, so a worker on
# a dead connection still renews its lease over a new one.
TCP = {
    "keepalives": 1,
    "keepalives_idle": 10,  # s
    "keepalives_interval": 5,  # s
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # ms
}
BINARY = "vcpbench_binary"  # an execution option: `_choose_format`
NOW = func.clock_timestamp()  # not now(): a transaction that waited for a lock would see an old time
NEW_JOBS = "new_jobs"  # key of Session.info: how many jobs each queue got in this transaction


class Errors(TypeDecorator[VcpbenchError]):
    """A column of errors with their fields, as JSON.

    PostgreSQL's `json` keeps the lone surrogates of a path that is not UTF-8; `jsonb` refuses them.
    """

    impl = JSON(none_as_null=True)
    cache_ok = True

    def process_bind_param(self, value: VcpbenchError | None, dialect: Any) -> dict[str, Any] | None:
        """Convert an error into JSON for the database."""
        return None if value is None else value.as_dict()

    def process_result_value(self, value: dict[str, Any] | None, dialect: Any) -> VcpbenchError | None:
        """Convert JSON of the database into an error."""
        return None if value is None else VcpbenchError.from_dict(value)


class Base(DeclarativeBase):
    """The base of all tables.

    JSON columns are PostgreSQL's `json`, which keeps the text. So every number comes out with the digits that
    it went in with.
    """

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it as a class attribute
        UUID: Uuid(),
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSON(),
        list[Any]: JSON(),
        VcpbenchError: Errors(),
    }


class Identified:
    """A row with an id and its time of creation, by the database's clock."""

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class Database:
    """Sessions on one PostgreSQL database.

    Args:
        url: `postgresql://...`.
        on_new_jobs: Called after a commit with the number of new jobs by queue.
        lock_timeout_s: How long a statement waits for a lock before it fails, seconds; None waits for ever.
        statement_timeout_s: How long a statement takes before it fails, seconds; None never fails.
        max_connections: Most connections at once. A thread that needs one more waits for `POOL_TIMEOUT_S`.
    """

    def __init__(
        self,
        url: str,
        *,
        on_new_jobs: OnNewJobs | None = None,
        lock_timeout_s: float | None = None,
        statement_timeout_s: float | None = None,
        max_connections: int = 15,
    ) -> None:
        connect_args: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT_S, **TCP}
        timeouts = {"lock_timeout": lock_timeout_s, "statement_timeout": statement_timeout_s}
        options = [f"-c {name}={seconds * 1000:.0f}ms" for name, seconds in timeouts.items() if seconds]
        if options:  # an empty text would hide the options of the URL
            connect_args["options"] = " ".join(options)
        self.engine = create_engine(
            driver_url(url),
            pool_pre_ping=True,  # after a restart of PostgreSQL, old connections are replaced
            pool_use_lifo=True,  # the connection used last has its statements prepared
            connect_args=connect_args,
            pool_size=KEPT_CONNECTIONS,
            max_overflow=max(0, max_connections - KEPT_CONNECTIONS),
            pool_timeout=POOL_TIMEOUT_S,
        )
        event.listen(self.engine, "before_cursor_execute", _choose_format)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        self._on_new_jobs = on_new_jobs

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open a transaction. Commit it when the block ends, or roll it back if the block raises.

        Workers are woken only after the commit. Before it, they would not see the new jobs.
        """
        with self._sessions.begin() as session:
            yield session
        new_jobs: Counter[str] = session.info.get(NEW_JOBS, Counter())
        if new_jobs and self._on_new_jobs:
            self._on_new_jobs(new_jobs)

    def dispose(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _choose_format(
    connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
) -> None:
    """Let PostgreSQL answer a statement with the execution option `BINARY` in its binary form.

    Numbers then need no parsing. Columns of our enumerations do not know that form.
    """
    if context is not None and context.execution_options.get(BINARY):
        cursor.format = pq.Format.BINARY


def without_password(url: str) -> str:
    """Write a database's URL without its password.

    >>> without_password("postgresql://user:secret@host/name")
    'postgresql://user:***@host/name'
    """
    return make_url(url).render_as_string(hide_password=True)


def driver_url(url: str) -> str:
    """Add our driver's name to a URL that people write without it."""
    for scheme in ("postgresql://", "postgres://"):
        if url.startswith(scheme):
            return "postgresql+psycopg://" + url.removeprefix(scheme)
    return url
