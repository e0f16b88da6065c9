"""The ceilings of what one request, one team and one connection may take, and the limit of bodies."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 1 << 20  # the largest protocol takes a few kilobytes
# Of one team, and of all readers without a token together. A page or a table compares fewer pairs at once,
# and each takes a worker seconds, so the last of them waits for minutes and not for hours.
MAX_LIVE_COMPARISONS = 16
MAX_ROWS = 500  # of a page of a list; 500 checkpoints with their reports are about a megabyte


class BodyLimit:
    """Middleware that limits the body of every request but PUT, with or without a Content-Length.

    FastAPI reads a JSON body before it checks the token. Without this limit, anyone could fill the memory.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or answer 413."""
        if scope["type"] != "http" or scope["method"] == "PUT":
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
