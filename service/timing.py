"""How long the service took for a response: for Prometheus, and in a header for browsers (Server Timing)."""

from __future__ import annotations

import time

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class ServerTiming:
    """Middleware that adds `Server-Timing: total;dur=12.3`.

    It counts the milliseconds from the head of the request to the head of the response. For an upload, they
    include the time in which the bytes arrive.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        begun = time.perf_counter()

        async def timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                took_s = time.perf_counter() - begun
                MutableHeaders(scope=message).append("Server-Timing", f"total;dur={1000 * took_s:.1f}")
                scope["app"].state.metrics.took(scope, message["status"], took_s)
            await send(message)

        await self.app(scope, receive, timed)
