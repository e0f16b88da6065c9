"""Whole tables, for backups: their rows as text, and the objects that they name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from psycopg import Connection, sql
from sqlalchemy import func, inspect, select, text
from sqlalchemy.orm import Session

from records import storage
from records.db import Base
from records.models import (
    Checkpoint,
    CheckpointState,
    DatasetRow,
    DatasetState,
    Job,
    JobState,
    Media,
    MediaState,
    Shard,
    UploadPart,
)


@dataclass(frozen=True, kw_only=True)
class NamedObject:
    """An object that a row names.

    Attributes:
        key: Its key in the store.
        sha256: Its hash; None if nobody noted one.
        can_be_made: Whether a worker makes it again from other objects if it is missing.
    """

    key: str
    sha256: str | None
    can_be_made: bool = False


def freeze(session: Session) -> None:
    """Let this session see the database as it is now until it ends. Call it first.

    Without that, a row could name a row of a table that was copied before.
    """
    session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    session.execute(text("SET TRANSACTION READ ONLY"))


def tables() -> dict[str, list[str]]:
    """All tables with their columns. A table comes after the tables that its rows refer to."""
    return {table.name: [column.name for column in table.columns] for table in Base.metadata.sorted_tables}


def dump(session: Session, table: str, columns: list[str]) -> Iterator[bytes]:
    """Yield the rows of a table in PostgreSQL's text format of COPY, in the order of their keys."""
    keys = [column.name for column in Base.metadata.tables[table].primary_key.columns]
    rows = sql.SQL("SELECT {} FROM {} ORDER BY {}").format(
        _named(columns), sql.Identifier(table), _named(keys)
    )
    with (
        _driver(session).cursor() as cursor,
        cursor.copy(sql.SQL("COPY ({}) TO STDOUT").format(rows)) as copy,
    ):
        yield from map(bytes, copy)


def fill(session: Session, table: str, columns: list[str], rows: Iterable[bytes]) -> None:
    """Insert rows that `dump` gave."""
    into = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), _named(columns))
    with _driver(session).cursor() as cursor, cursor.copy(into) as copy:
        for chunk in rows:
            copy.write(chunk)


def clear(session: Session, names: Iterable[str]) -> None:
    """Delete all rows of these tables: a fresh schema has some, such as a first token."""
    listed = sql.SQL(", ").join(map(sql.Identifier, names))
    _driver(session).execute(sql.SQL("TRUNCATE {}").format(listed))


def num_checkpoints(session: Session) -> int | None:
    """Count the checkpoints; None if the database has no schema."""
    if not inspect(session.connection()).has_table(Checkpoint.__tablename__):
        return None
    return session.scalar(select(func.count()).select_from(Checkpoint)) or 0


def objects(session: Session) -> Iterator[NamedObject]:
    """Yield the objects that rows name, each once."""
    seen: set[str] = set()
    for found in _named_by_rows(session):
        if found.key not in seen:
            seen.add(found.key)
            yield found


def _named_by_rows(session: Session) -> Iterator[NamedObject]:
    stored = Checkpoint.state != CheckpointState.DECLARED
    uploads = select(Checkpoint.sha256).where(Checkpoint.sha256.is_not(None), stored)
    for sha256 in session.scalars(uploads.order_by(Checkpoint.sha256)):
        yield NamedObject(key=storage.checkpoint_key(str(sha256)), sha256=sha256)
    ready = Checkpoint.state == CheckpointState.READY  # before that, a row names what is about to be stored
    weights = select(Checkpoint.weights_sha256).where(Checkpoint.weights_sha256.is_not(None), ready)
    for sha256 in session.scalars(weights.order_by(Checkpoint.weights_sha256)):
        yield NamedObject(key=storage.weights_key(str(sha256)), sha256=sha256, can_be_made=True)
    indexed = select(DatasetRow.id, DatasetRow.manifest_sha256).where(DatasetRow.state == DatasetState.READY)
    for dataset_id, sha256 in session.execute(indexed.order_by(DatasetRow.id)):
        yield NamedObject(key=storage.manifest_key(dataset_id), sha256=sha256, can_be_made=True)
    for key in session.scalars(select(UploadPart.key).order_by(UploadPart.key)):
        yield NamedObject(key=key, sha256=None)
    done = (
        select(Shard.key, Shard.sha256)
        .join(Job, Job.shard_id == Shard.id)
        .where(Job.state == JobState.DONE, Shard.swept_at.is_(None))
    )
    for key, sha256 in session.execute(done.order_by(Shard.key)):
        yield NamedObject(key=key, sha256=sha256, can_be_made=True)
        yield NamedObject(key=storage.facts_key(key), sha256=None, can_be_made=True)
    previews = select(Media.sha256).where(Media.state == MediaState.MADE).order_by(Media.sha256)
    for sha256 in session.scalars(previews):
        yield NamedObject(key=storage.media_key(str(sha256)), sha256=sha256, can_be_made=True)


def _driver(session: Session) -> Connection[Any]:
    connection: Connection[Any] = session.connection().connection.driver_connection  # type: ignore[assignment]
    return connection


def _named(columns: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))
