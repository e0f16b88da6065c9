"""Databases of one server for the tests: made from a migrated template, lent, emptied and lent again.

To make one takes PostgreSQL much longer than to empty one, and hundreds of tests want one.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from records import migrate
from records.db import Base, driver_url

TEMPLATE = f"vcpbench_template_{os.getpid()}"
SCHEMA = text(
    """
    SELECT md5(string_agg(
               concat(c.relname, c.relkind, a.attname, a.atttypid, a.attnotnull), ',' ORDER BY 1, 3)),
           (SELECT version_num FROM alembic_version),
           (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace),
           (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal)
    FROM (SELECT oid, relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace) c
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
    """
)


class Databases:
    """Of one PostgreSQL server."""

    def __init__(self, server_url: str) -> None:
        self._server = make_url(driver_url(server_url))
        self._admin = create_engine(self._server, isolation_level="AUTOCOMMIT")
        self._numbers = itertools.count(1)
        self._made: list[str] = []
        self._idle: list[str] = []
        self._do(f"DROP DATABASE IF EXISTS {TEMPLATE} WITH (FORCE)")
        self._do(f"CREATE DATABASE {TEMPLATE}")
        migrate.upgrade(self._url(TEMPLATE))
        with self._inside(TEMPLATE) as connection:
            self._schema = connection.execute(SCHEMA).one()

    def make(self, template: str = TEMPLATE) -> str:
        """The URL of a new one, empty and migrated."""
        name = f"vcpbench_test_{os.getpid()}_{next(self._numbers)}"
        self._do(f"CREATE DATABASE {name} TEMPLATE {template}")
        self._made.append(name)
        return self._url(name)

    @contextmanager
    def lend(self) -> Iterator[str]:
        """The URL of one that is as new. Nobody else gets it while somebody is connected to it."""
        url = self._idle.pop() if self._idle else self.make()
        yield url
        if self._emptied(str(make_url(url).database)):
            self._idle.append(url)

    def drop(self) -> None:
        """All that were made."""
        for name in [*self._made, TEMPLATE]:
            self._do(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def close(self) -> None:
        """Let go of the server."""
        self._admin.dispose()

    def _emptied(self, name: str) -> bool:
        """Take all rows out; False if it is not as new then."""
        try:
            with self._inside(name) as connection:
                used = text("SELECT count(*) FROM pg_stat_activity WHERE datname = :name")
                if (
                    connection.scalar(used, {"name": name}) != 1
                    or connection.execute(SCHEMA).one() != self._schema
                ):
                    return False
                # All in one, because each statement waits for the server to get its turn.
                tables = reversed(Base.metadata.sorted_tables)
                connection.exec_driver_sql("; ".join(f"DELETE FROM {table.name}" for table in tables))
        except OperationalError:  # dropped, or renamed
            return False
        return True

    @contextmanager
    def _inside(self, name: str) -> Iterator[Connection]:
        engine = create_engine(self._url(name), poolclass=NullPool)
        with engine.begin() as connection:
            yield connection

    def _do(self, statement: str) -> None:
        with self._admin.connect() as connection:
            connection.execute(text(statement))

    def _url(self, name: str) -> str:
        return self._server.set(database=name).render_as_string(hide_password=False)
