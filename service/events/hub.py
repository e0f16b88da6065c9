"""Fan events out to watchers: one connection to the database listens for all watchers of a process.

The connection is opened with the first watcher. A notice of a new event makes the hub read the new events
once, whoever watches. Notices of progress are gathered, and at most once a second the hub reads how far the
watched evaluations are. A watcher that reads too slowly is let go. It resumes with its last event's id.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import islice
from typing import ParamSpec, TypeVar
from uuid import UUID

import psycopg
import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from records.db import Database
from records.events import as_json
from records.models import Event
from records.repositories import evaluations, events
from records.repositories.events import NEW
from records.repositories.notices import LISTENING, listen
from records.repositories.progress import progress
from records.settings import Settings
from service import connections, limits
from service.auth import Caller
from service.evaluations.schemas import ProgressOut
from service.evaluations.waiting import standing
from service.problems import Busy, TooMany

P = ParamSpec("P")
T = TypeVar("T")
PROGRESS_EVERY_S = 1.0
AT_ONCE = 50  # evaluations whose progress is read in one look
READY_S = 10.0  # for the connection to the database
AGAIN_S = 1.0  # pause before the connection is opened again
BATCH = 500  # events that are read by one query
MOST_WAITING = 256  # messages that a watcher has not read
TOLD_AT_ONCE = 25  # watchers that are told, and whose streams send, before other requests have a turn

log = structlog.get_logger("vcpbench.service")


@dataclass(frozen=True)
class Message:
    """What a stream sends: an event, or how far an evaluation is. Only events have an id."""

    content: bytes
    id: int | None = None


@dataclass(eq=False)
class Watcher:
    """One stream.

    Attributes:
        team: Whose events it sends; None for those of all teams.
        evaluation: The only evaluation that it sends events of; None for all.
        waiting: Messages to send. None ends the stream.
    """

    team: str | None
    evaluation: UUID | None
    waiting: asyncio.Queue[Message | None] = field(default_factory=lambda: asyncio.Queue(MOST_WAITING + 1))

    def wants(self, team: str, evaluation: UUID | None) -> bool:
        """Whether it sends what happens to this evaluation of this team."""
        return self.team in (None, team) and self.evaluation in (None, evaluation)

    def tell(self, message: Message) -> None:
        """Queue a message. If too many wait, the stream ends after those."""
        if self.waiting.qsize() < MOST_WAITING:
            self.waiting.put_nowait(message)
        elif not self.waiting.full():
            self.waiting.put_nowait(None)


class Hub:
    """All watchers of one process.

    Args:
        settings: Names the database to listen to, and the address of the service for readers.
        database: Holds the events.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._url, self._base = settings.database_url.get_secret_value(), settings.public_url
        self._database = database
        self._watchers: set[Watcher] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._ready = asyncio.Event()
        self._last: int | None = None  # the newest event that was sent on
        self._changed: set[UUID] = set()

    async def enter(self, caller: Caller, evaluation: UUID | None) -> Watcher:
        """Add a watcher. From the return on, it misses nothing.

        Raises:
            TooMany: If the team, or all teams together, have as many streams as are allowed.
            Busy: If the database does not answer.
        """
        self._check_room(caller.team)
        # Of one evaluation, an administrator also sees another team's events (`service.events.service`).
        of_all = caller.admin and evaluation is not None
        watcher = Watcher(None if of_all else caller.team, evaluation)
        self._watchers.add(watcher)
        try:
            if not self._tasks or any(task.done() for task in self._tasks):
                # No `await` before the new ones: two watchers that enter at once would start two pairs.
                for task in self._tasks:
                    task.cancel()
                self._tasks = [asyncio.create_task(one()) for one in (self._listen, self._send_progress)]
            await asyncio.wait_for(self._ready.wait(), READY_S)
        except TimeoutError:
            self.leave(watcher)
            raise Busy("The database cannot be listened to just now. Try again in a few seconds.") from None
        except BaseException:
            self.leave(watcher)
            raise
        if evaluation is not None:
            self._changed.add(evaluation)  # a new watcher is first told how far it is
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """Remove a watcher."""
        self._watchers.discard(watcher)

    async def close(self) -> None:
        """Stop listening. The server has ended all streams before."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def message_of(self, event: Event) -> Message:
        """An event as a stream sends it."""
        data = json.dumps(as_json(event, self._base), separators=(",", ":"))
        return Message(f"id: {event.id}\nevent: {event.kind.value}\ndata: {data}\n\n".encode(), event.id)

    def _check_room(self, team: str) -> None:
        own = sum(one.team == team for one in self._watchers)
        most = int(connections.most() * limits.WATCHERS_SHARE)
        if own >= limits.MAX_WATCHERS_OF_A_TEAM or len(self._watchers) >= most:
            full = own >= limits.MAX_WATCHERS_OF_A_TEAM
            used, allowed = (own, limits.MAX_WATCHERS_OF_A_TEAM) if full else (len(self._watchers), most)
            whose = f"Team {team!r} has" if full else "All teams together have"
            raise TooMany(
                f"{whose} {used} streams of events open, and {allowed} are allowed. Close one, or ask "
                f"GET {limits.EVENTS} for a list now and then.",
                limit="streams of events",
                used=used,
                allowed=allowed,
            )

    async def _listen(self) -> None:
        while True:
            try:
                async with aclosing(listen(self._url)) as notices:
                    async for notice in notices:
                        await self._hear(notice)
            except (psycopg.Error, SQLAlchemyError, OSError) as error:
                self._ready.clear()
                log.warning("database away; watchers wait", error=type(error).__name__)
                await asyncio.sleep(AGAIN_S)

    async def _hear(self, notice: str) -> None:
        if notice not in (LISTENING, NEW):
            self._changed.add(UUID(notice))
            return
        if self._last is None:  # nobody has watched before
            self._last = await _in_thread(self._newest)
        while found := await _in_thread(self._after, self._last):
            for event in found:
                message = self.message_of(event)
                await self._tell(message, event.team, event.evaluation_id)
                self._last = event.id
        if notice == LISTENING:
            self._ready.set()

    async def _tell(self, message: Message, team: str, evaluation: UUID | None) -> None:
        # A list, because watchers enter and leave meanwhile. Who enters now did not watch when it happened.
        told = [watcher for watcher in self._watchers if watcher.wants(team, evaluation)]
        for begin in range(0, len(told), TOLD_AT_ONCE):
            for watcher in told[begin : begin + TOLD_AT_ONCE]:
                watcher.tell(message)
            await asyncio.sleep(0)

    def _newest(self) -> int:
        with self._database.session() as session:
            return events.newest(session)

    def _after(self, event_id: int) -> Iterable[Event]:
        with self._database.session() as session:
            return events.after(session, event_id, limit=BATCH)

    async def _send_progress(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS_EVERY_S)
            chosen = set(islice(self._changed, AT_ONCE))
            self._changed -= chosen
            if not (chosen and self._watchers):
                continue
            try:
                found = await _in_thread(self._progress, chosen, tuple(self._watchers))
            except SQLAlchemyError as error:
                log.warning("database away; no progress sent", error=str(error.args[0]).splitlines()[0])
                continue
            for team, evaluation, message in found:
                await self._tell(message, team, evaluation)

    def _progress(self, ids: set[UUID], watchers: Sequence[Watcher]) -> list[tuple[str, UUID, Message]]:
        found = []
        with self._database.session() as session:
            for one in evaluations.load(session, list(ids)):
                if not any(watcher.wants(one.team, one.id) for watcher in watchers):
                    continue
                out = ProgressOut.of(progress(session, one), standing(session, one, None))
                said = {"evaluation": str(one.id), "state": one.state.value, **out.model_dump(mode="json")}
                data = json.dumps(said, separators=(",", ":"))
                found.append((one.team, one.id, Message(f"event: progress\ndata: {data}\n\n".encode())))
        return found


async def _in_thread(query: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Run a query in a thread. Whoever cancels it waits for the thread, which has a connection open."""
    thread = asyncio.ensure_future(run_in_threadpool(query, *arguments, **named))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        await asyncio.wait([thread])
        raise
