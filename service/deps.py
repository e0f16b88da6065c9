"""The arguments that routes get: a session that commits before the response leaves, store and settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Query, Request
from sqlalchemy.orm import Session

from records.db import Database
from records.settings import Settings
from records.storage import Storage
from service.limits import MAX_ROWS


def _session(request: Request) -> Iterator[Session]:
    with request.app.state.database.session() as session:
        yield session


def _database(request: Request) -> Database:
    found: Database = request.app.state.database
    return found


def _storage(request: Request) -> Storage:
    found: Storage = request.app.state.storage
    return found


def _settings(request: Request) -> Settings:
    found: Settings = request.app.state.settings
    return found


# "function": the session ends, and so commits, before the response is sent.
SessionDep = Annotated[Session, Depends(_session, scope="function")]
DatabaseDep = Annotated[Database, Depends(_database)]
StorageDep = Annotated[Storage, Depends(_storage)]
SettingsDep = Annotated[Settings, Depends(_settings)]
Limit = Annotated[int, Query(ge=1, le=MAX_ROWS, description="Rows of a page.")]
Offset = Annotated[int, Query(ge=0, le=2**31, description="Rows before the page.")]
