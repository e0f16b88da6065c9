"""Connections of the server: how many there may be, and how long each may take to send a request.

What uvicorn offers does not bound requests that are sent by halves:

- `timeout_keep_alive` starts once a response is complete. A new connection, and one whose request stops in
  the middle, has no time limit.
- `limit_concurrency` is looked at once the head of a request has arrived. A connection that sends half a head
  keeps its file descriptor, and everybody else gets 503, /v1/health included.
- `h11_max_incomplete_event_size` bounds the bytes of a head and not the time.
- The time of a body, and the connections of one address, have no limit at all.

So this protocol class, a layer over uvicorn's, has one timer for each connection. If too many are open, it
closes the one that has been sending its request, or has been idle, for the longest time. The newcomer is
served. Only if all others are being answered, the newcomer gets a 503.
"""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import Iterable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from service import limits
from service.problems import MEDIA_TYPE, TITLES

RETRY_S = 5  # what a refused client should wait


def most() -> int:
    """How many connections may be open: the process's file descriptors less those that work needs."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(max(soft - limits.RESERVED_FILES, soft // 2), limits.MAX_CONNECTIONS)


class Connection(H11Protocol):
    """One connection. Its `since` is when it began to wait for the client, by the loop's clock."""

    timer: asyncio.TimerHandle | None = None
    since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a new connection, close an older one for it, or refuse it."""
        super().connection_made(transport)
        others = [one for one in self.connections if isinstance(one, Connection) and one is not self]
        own = [one for one in others if one.address == self.address]
        room = most()
        if len(own) >= room // limits.ADDRESSES or len(others) >= room:
            crowd = own if len(own) >= room // limits.ADDRESSES else others
            oldest = min((one for one in crowd if one.waits), key=lambda one: one.since, default=None)
            if oldest is None:
                self.refuse(
                    503, f"{len(crowd)} connections are open and busy, which is the limit. Try again."
                )
                return
            oldest.give_up("Too many connections are open, and this one waited for its client the longest.")
        self.wait(limits.HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes, and decide how long the next ones may take."""
        before = self.stage
        super().data_received(data)
        after = self.stage
        if after == "upload" or after != before:
            self._time(after)

    def on_response_complete(self) -> None:
        """Give the client time to take the response, or to send the next request."""
        super().on_response_complete()
        self._time(self.stage)

    def pause_writing(self) -> None:
        """Close the connection of a client that does not read its response."""
        super().pause_writing()
        self.wait(limits.READ_S)

    def resume_writing(self) -> None:
        """Let the response go on."""
        super().resume_writing()
        self._stop()

    def shutdown(self) -> None:
        """End a stream when the server stops, and let every other answer go out."""
        if self.cycle is not None and not self.cycle.response_complete and limits.is_stream(self.scope):
            self.transport.close()
        else:
            super().shutdown()

    @property
    def address(self) -> str:
        """The client's host."""
        return self.client[0] if self.client else ""

    @property
    def stage(self) -> str:
        """What the connection does: "idle", "head", "body", "upload", "answer" or "rest"."""
        if self.cycle is None or (self.cycle.response_complete and self.conn.their_state is h11.IDLE):
            return "head" if self.conn.trailing_data[0] or self.cycle is None else "idle"
        if self.cycle.response_complete:
            return "rest"  # of a body that nobody reads any more
        if not self.cycle.more_body:
            return "answer"
        return "upload" if limits.is_upload(self.scope) else "body"

    @property
    def waits(self) -> bool:
        """Whether the connection waits for its client, and no work is lost if it is closed.

        An upload does not: only a request with a token gets as far.
        """
        return self.stage not in ("answer", "upload") and not self.transport.is_closing()

    def wait(self, seconds: float) -> None:
        """Give the client so long."""
        self._stop()
        self.since = self.loop.time()
        self.timer = self.loop.call_later(seconds, self.late, seconds)

    def late(self, seconds: float) -> None:
        """End what the client did not send, or did not read, in time."""
        if self.stage == "upload" and (self.flow.read_paused or self.cycle.body):
            self.wait(seconds)  # the store or the database is slow, and not the client
        else:
            self.give_up(f"The request did not arrive within {seconds:g} s. Send it again.")

    def give_up(self, detail: str) -> None:
        """Close the connection; if a request has begun and no response has, answer 408 first."""
        if self.stage in ("head", "body") and (self.cycle is not None or self.conn.trailing_data[0]):
            self.refuse(408, detail)
        elif self.flow.write_paused:
            self.transport.abort()  # `close` would wait until the client has read what is buffered
        else:
            self.transport.close()

    def refuse(self, status: int, detail: str) -> None:
        """Answer with a problem, and close the connection."""
        self._stop()
        if self.cycle is not None and self.stage == "body":
            if self.cycle.response_started:
                self.transport.close()
                return
            self.cycle.disconnected = True  # the application reads no more, and what it says is not sent
            self.cycle.message_event.set()
        for event in _response(status, detail):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _time(self, stage: str) -> None:
        if stage in ("answer", "idle"):  # uvicorn itself has a timer for idle connections
            self._stop()
            self.since = self.loop.time()
        else:
            self.wait({"head": limits.HEAD_S, "upload": limits.STALL_S}.get(stage, limits.BODY_S))

    def _stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


def _response(status: int, detail: str) -> Iterable[h11.Event]:
    title = TITLES[status]
    content: dict[str, Any] = {
        "type": "urn:vcpbench:" + title.lower().replace(" ", "-"),
        "title": title,
        "status": status,
        "detail": detail,
    }
    body = json.dumps(content).encode()
    headers = [
        ("Content-Type", MEDIA_TYPE),
        ("Content-Length", str(len(body))),
        ("Retry-After", str(RETRY_S)),
        ("Connection", "close"),
    ]
    yield h11.Response(status_code=status, headers=headers, reason=title)
    yield h11.Data(data=body)
    yield h11.EndOfMessage()
