"""Show problems as pages to browsers that ask for a page. API clients get problem details."""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable
from typing import Any, cast

from fastapi import FastAPI, Request, Response

from service.problems import MEDIA_TYPE
from service.web.pages import render

Handler = Callable[[Request, Exception], Response | Awaitable[Response]]
KEPT = ("retry-after", "www-authenticate", "allow", "x-request-id")
NEXT = {
    401: "Log in with a token.",
    404: "The page may have been removed, or its address may be mistyped.",
    409: "",
    410: "",
    422: "Correct the address, or go to the board.",
    429: "Load this page again in a minute.",
    500: "",
    503: "Load this page again in a few seconds.",
}


def install(app: FastAPI) -> None:
    """Answer every problem of the application with a page where a page was asked for."""
    for kind, handler in list(app.exception_handlers.items()):
        app.add_exception_handler(kind, _readable(cast(Handler, handler)))


def wants_page(request: Request) -> bool:
    """Whether the request is from a browser and for a whole page."""
    return "text/html" in request.headers.get("Accept", "") and "HX-Request" not in request.headers


def _readable(handler: Handler) -> Handler:
    async def handle(request: Request, error: Exception) -> Response:
        found = handler(request, error)
        response = await found if inspect.isawaitable(found) else found
        if response.media_type != MEDIA_TYPE or not wants_page(request):
            return response
        return _page(request, response)

    return handle


def _page(request: Request, response: Response) -> Response:
    problem: dict[str, Any] = json.loads(bytes(response.body))
    kept = {name: value for name, value in response.headers.items() if name in KEPT}
    template = "login.html" if response.status_code == 401 else "problem.html"
    return render(
        request,
        template,
        status=response.status_code,
        headers=kept,
        problem=problem,
        next_path=request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        hint=NEXT.get(response.status_code, ""),
    )
