"""The ceilings of what one request, one team and one connection may take, and the limit of bodies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 1 << 20  # the largest protocol takes a few kilobytes
# Of one team, and of all readers without a token together. A page or a table compares fewer pairs at once.
MAX_LIVE_COMPARISONS = 16
# Jobs that make previews, of one team and of all readers without a token together. A page that finds no room
# asks again. So a reader who walks through a gallery keeps no worker busy for hours.
MAX_LIVE_MEDIA = 64
# The same for maps. A map of 20,000 videos takes a worker minutes, at low priority.
MAX_LIVE_MAPS = 8
# Comparisons of many under way, counted likewise. One has up to 1,225 pairs (bench/comparing.py has times).
MAX_LIVE_COMPARISONS_OF_MANY = 4
# Evaluations of a team that gates wait for, and that workers take before those of all other teams. Further
# ones have the usual priority.
MAX_LIVE_GATES = 4
# Of file descriptors that no connection of a client may take: 42 connections of the database, 40 threads that
# may each have a file of the store open, the files of MAX_OPEN_UPLOADS, and as many again to spare.
RESERVED_FILES = 256
# Each connection may have sent 64 KiB of a head, and as much of a body that nobody has read yet: 250 MiB.
MAX_CONNECTIONS = 2000
# One client's address gets at most a half of the connections. So one machine alone shuts out nobody, and a
# proxy, from whose address everybody comes, still has hundreds.
ADDRESSES = 2
# Bodies of uploads that arrive at the same time at one process of the service: of one team, and of all teams.
# Each has a file or a connection of the store open. A client sends one file after the other.
MAX_OPEN_UPLOADS_OF_A_TEAM = 16
MAX_OPEN_UPLOADS = 64
# Checkpoints of a team that are declared and whose bytes are not all there. A client declares a file just
# before it sends it, so only broken uploads add up; they are deleted a week after their last byte.
MAX_DECLARED = 100
# Streams of events of one team at one process of the service, and the share of the connections that all
# streams together may take. A stream never counts as idle, so no newcomer gets its connection.
MAX_WATCHERS_OF_A_TEAM = 128
WATCHERS_SHARE = 0.75
HEAD_S = 10.0  # for the head of a request, all of it; nginx gives 60 s, Apache 20 s and more while bytes come
BODY_S = 30.0  # for a body of at most MAX_BODY_BYTES, all of it: 35 kB/s
STALL_S = 60.0  # between two pieces of an upload; what has arrived is kept, and the client goes on from there
READ_S = 60.0  # for a client to read anything of a response that does not fit into buffers
MAX_ROWS = 500  # of a page of a list; 500 checkpoints with their reports are about a megabyte


EVENTS = "/v1/events"
_UPLOADS = re.compile(r".*/checkpoints/(upload|[^/]+/content)", re.DOTALL)


def is_upload(scope: Mapping[str, Any]) -> bool:
    """Whether a request brings the bytes of a checkpoint. Its route checks the token before it reads them."""
    return scope["method"] == "PUT" and _UPLOADS.fullmatch(scope["path"]) is not None


def is_stream(scope: Mapping[str, Any]) -> bool:
    """Whether a request may be answered by a stream that ends only with its connection."""
    return bool(scope["method"] == "GET" and scope["path"] == EVENTS)


class BodyLimit:
    """Middleware that limits the body of every request but an upload, with or without a Content-Length.

    FastAPI reads a JSON body before it checks the token. Without this limit, anyone could fill the memory.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or answer 413."""
        if scope["type"] != "http" or is_upload(scope):
            await self.app(scope, receive, send)
            return
        announced, received = Headers(scope=scope).get("content-length", "0"), 0

        async def counted() -> Message:
            nonlocal received
            _fits(int(announced))
            message = await receive()
            received += len(message.get("body", b""))
            _fits(received)
            return message

        await self.app(scope, counted, send)


def _fits(num_bytes: int) -> None:
    if num_bytes > MAX_BODY_BYTES:
        raise HTTPException(413, f"A body of this route has at most {MAX_BODY_BYTES} bytes.")
