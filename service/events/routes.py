"""`/v1/events`: a list and a stream; `/v1/evaluations/ID/verdicts`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import Header, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from records.db import Database
from records.repositories import events
from service.auth import AnyCaller, Caller
from service.deps import DatabaseDep, Limit, Offset, Router, SessionDep, SettingsDep
from service.events import service
from service.events.hub import BATCH, Hub, Watcher
from service.events.schemas import EventOut, EventPage, VerdictIn
from service.problems import WITH_BODY, InvalidRequest, responses
from service.references import EVALUATION, IS_NAMED, EvaluationNamed

router = Router(tags=["events"])
STREAM = "text/event-stream"
BEAT_S = 15.0  # proxies close connections on which nothing comes for a minute
STREAM_S = 900.0  # then the client comes again with its token, which may have been revoked
RETRY_MS = 3000  # when a browser comes again
LARGEST = (1 << 63) - 1  # an id that PostgreSQL can compare


class EventStream(StreamingResponse):
    """A stream of events. Its watcher leaves the hub however the stream ends."""

    def __init__(self, hub: Hub, watcher: Watcher, database: Database, after: int | None) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(_messages(hub, watcher, database, after), media_type=STREAM, headers=headers)
        self._hub, self._watcher = hub, watcher

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._hub.leave(self._watcher)


@router.get(
    "/events",
    responses={
        200: {"model": EventPage, "content": {STREAM: {"schema": {"type": "string"}}}},
        **responses(403, 404, 409),
    },
    response_class=Response,
    summary="List events, or follow them",
)
async def follow(
    request: Request,
    caller: AnyCaller,
    database: DatabaseDep,
    settings: SettingsDep,
    evaluation: Annotated[
        str | None, Query(description=f"Only of this evaluation. {EVALUATION}", json_schema_extra=IS_NAMED)
    ] = None,
    limit: Limit = 50,
    offset: Offset = 0,
    last_event_id: Annotated[
        str | None, Header(description="Of a stream: it begins after this event.", include_in_schema=False)
    ] = None,
) -> Response:
    """Your team's events of the last 30 days, the newest first.

    With `Accept: text/event-stream`, the answer is a stream of server-sent events. It begins with what
    happens next, or after the event of the header `Last-Event-ID`. Beside events it sends messages named
    `progress`, at most one a second for each evaluation. `limit` and `offset` mean nothing there.
    """
    hub: Hub = request.app.state.hub
    if STREAM in request.headers.get("Accept", ""):
        after = _id(last_event_id)
        wanted = await run_in_threadpool(_watched, database, evaluation, caller)
        return EventStream(hub, await hub.enter(caller, wanted), database, after)

    def listed() -> EventPage:
        with database.session() as session:
            wanted = service.watched(session, evaluation, caller)
            team = caller.team if wanted is None else None
            found, total = events.page(session, team, wanted, limit=limit, offset=offset)
            return EventPage(items=[EventOut.of(one, settings.public_url) for one in found], total=total)

    return JSONResponse((await run_in_threadpool(listed)).model_dump(mode="json"))


@router.post(
    "/evaluations/{evaluation_id:named}/verdicts",
    status_code=201,
    responses=responses(*WITH_BODY, 403, 404, 409),
    summary="Store the verdict of a gate",
)
def judge(
    evaluation_id: EvaluationNamed,
    body: VerdictIn,
    caller: AnyCaller,
    session: SessionDep,
    settings: SettingsDep,
) -> EventOut:
    """Store the verdict of a gate on an evaluation of your team. Watchers and webhooks are told of it."""
    return EventOut.of(service.judge(session, evaluation_id, body, caller), settings.public_url)


def _watched(database: Database, wanted: str | None, caller: Caller) -> UUID | None:
    with database.session() as session:
        return service.watched(session, wanted, caller)


def _id(given: str | None) -> int | None:
    if not given:
        return None
    if not (given.isascii() and given.isdecimal() and len(given) < 20 and int(given) <= LARGEST):
        raise InvalidRequest("Header 'Last-Event-ID' must be the id of an event, which is a whole number.")
    return int(given)


async def _messages(
    hub: Hub, watcher: Watcher, database: Database, after: int | None
) -> AsyncIterator[bytes]:
    """What happened after an event, then what happens."""
    begun, last = time.monotonic(), after or 0
    yield f"retry: {RETRY_MS}\n\n".encode()

    def missed() -> list[tuple[int, bytes]]:
        with database.session() as session:
            found = events.after(
                session, last, team=watcher.team, evaluation_id=watcher.evaluation, limit=BATCH
            )
            return [(one.id, hub.message_of(one).content) for one in found]

    while after is not None and (found := await run_in_threadpool(missed)):
        last = found[-1][0]
        for _, content in found:
            yield content
    while (left_s := begun + STREAM_S - time.monotonic()) > 0:
        try:
            async with asyncio.timeout(
                min(BEAT_S, left_s)
            ):  # in Python 3.11, `wait_for` makes a task each time
                message = await watcher.waiting.get()
        except TimeoutError:
            yield b": still here\n\n"
            continue
        if message is None:
            return
        if message.id is not None:
            if message.id <= last:
                continue
            last = message.id
        yield message.content
