"""What routes are made of: routers, and arguments, such as a session that commits before the response."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.routing import APIRoute
from sqlalchemy.orm import Session

from records.db import Database
from records.settings import Settings
from records.storage import Storage
from service import auditing
from service.limits import MAX_ROWS


class CommittingRoute(APIRoute):
    """A route whose argument `session` is committed by the thread that ran its function.

    A request that changes something is noted in the audit log by the same commit.

    FastAPI builds the response in another thread of the same pool, and only then commits. If 40 requests wait
    for a lock in that pool, the request that holds the lock gets no thread, and all fail.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, _committing(endpoint), **options)


def _committing(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    if "session" not in inspect.signature(endpoint).parameters or inspect.iscoroutinefunction(endpoint):
        return endpoint

    @functools.wraps(endpoint)
    def committing(*arguments: Any, session: Session, **named: Any) -> Any:
        answer = endpoint(*arguments, session=session, **named)
        auditing.note(session.info[REQUEST], session, named, answer)
        session.commit()
        return answer

    return committing


REQUEST = "request"  # key of Session.info: the request that the session serves
Router = functools.partial(APIRouter, route_class=CommittingRoute)


def _session(request: Request) -> Iterator[Session]:
    with request.app.state.database.session() as session:
        session.info[REQUEST] = request
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
