"""What belongs to one request everywhere: its id, its line in the log, its span in traces."""

from __future__ import annotations

import re
import time
from typing import Any
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, clear_contextvars

from records import tracing

HEADER = "X-Request-ID"
WELL_FORMED = re.compile(r"[A-Za-z0-9_.-]{8,64}")  # UUIDs, nginx's $request_id, Envoy's
READS = ("GET", "HEAD", "OPTIONS")

log = structlog.get_logger("vcpbench.service")


def request_id(headers: Headers) -> str:
    """The id that a proxy gave the request, or a new one.

    >>> request_id(Headers({"X-Request-ID": "5f0c2a1e-7d"}))
    '5f0c2a1e-7d'
    >>> len(request_id(Headers({"X-Request-ID": 'x", "level": "error'})))
    32
    """
    given = headers.get(HEADER, "")
    return given if WELL_FORMED.fullmatch(given) else uuid4().hex


class RequestContext:
    """Middleware that gives each request an id: in every line of the log, and in the header `X-Request-ID`.

    A request that changes something, and one that fails by the server's fault, gets a line in the log.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers, begun = Headers(scope=scope), time.perf_counter()
        named = request_id(headers)
        # The id stays after this block, because the server writes the traceback of an unforeseen error only
        # then. Each request is a task of its own, with its own context.
        clear_contextvars()
        bind_contextvars(request=named)

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = named
                _tell(scope, message["status"], time.perf_counter() - begun)
            await send(message)

        parent = headers.get("traceparent")
        with tracing.span("request", role="SERVER", traceparent=parent, request=named):
            await self.app(scope, receive, told)


def _tell(scope: Scope, status: int, took_s: float) -> None:
    method, route = scope["app"].state.metrics.route(scope)
    ids = _ids(scope)
    tracing.annotate(
        f"{method} {route}",
        http__request__method=method,
        http__route=route,
        http__response__status_code=status,
        **ids,
    )
    if scope["method"] not in READS or status >= 500:
        took_ms = round(1000 * took_s, 1)
        log.info("answered", method=method, route=route, status=status, took_ms=took_ms, **ids)


def _ids(scope: Scope) -> dict[str, Any]:
    """Ids of evaluation and checkpoint in the request's address."""
    found = scope.get("path_params", {})
    return {name: str(found[f"{name}_id"]) for name in ("evaluation", "checkpoint") if f"{name}_id" in found}
