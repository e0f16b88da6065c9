"""Turn errors into responses (RFC 9457 problem details). No other module does.

ServiceError
├── Unauthorised      no token, or an unknown or revoked one
├── Forbidden         the token does not permit this
├── NotFound          no such checkpoint, evaluation, ...
├── Gone              it was deleted
├── Conflict          the state of the thing does not permit this
├── Ambiguous         several ids begin with the given characters (service/references.py)
├── StillCounting     another request counts a dataset's clips just now (service/estimates/service.py)
├── TooLarge          more bytes than this installation takes
├── TooMany           as many as allowed are open, under way, or were sent within this minute
├── InvalidRequest    an unknown parameter or field, or an invalid value
└── BadUpload         bytes that differ from their declaration

Other errors have these statuses:

422  every other error of vcpbench, and values that the database cannot hold
507  a full store or database
503  a store or database that is away or too busy
409  two requests that write the same thing at once
"""

from __future__ import annotations

import json
import re
from functools import cache
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnection
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import compile_path
from structlog.contextvars import get_contextvars

from records.storage import StoreAway
from service import wording
from service.request_context import HEADER
from vcp_core.catalog.errors import MOST_QUOTED, StorageError, UnknownName, VcpbenchError, last_name

MEDIA_TYPE = "application/problem+json"
TITLES = {  # titles of our own, because those of http.HTTPStatus change between versions of Python
    400: "Bad request",
    401: "Unauthorised",
    403: "Forbidden",
    404: "Not found",
    408: "Too slow",
    409: "Conflict",
    410: "Gone",
    413: "Too large",
    416: "Range not satisfiable",
    422: "Invalid request",
    429: "Too many",
    503: "Away just now",
    507: "Storage error",
}
DISK_FULL = "53100"  # SQLSTATE
SAFE = "Everything that was stored before is safe."
NO_ROOM = f"The database's disk is full. {SAFE} Try again later."
AWAY = "The database cannot be reached just now. Nothing was lost; try again in a few seconds."
BUSY = {  # by SQLSTATE, or the first two characters of it, its class
    "40": "Another request changed the same thing just now. Nothing was done; try again.",
    "53": "The database has no memory or connection to spare just now. Nothing was done; try again.",
    "55P03": "This request waited too long for a lock that another request or a worker holds. Try again.",
    "57014": "The database stopped a query that took too long. Nothing was done; try again.",
}
log = structlog.get_logger("vcpbench.service")


class ServiceError(VcpbenchError):
    """A request that the service refuses.

    Args:
        detail: What happened, to which thing, and what to do next.
        more: Further members of the problem details.
    """

    status = 400
    headers: dict[str, str] = {}  # noqa: RUF012 - constants of each class

    def __init__(self, detail: str, **more: Any) -> None:
        super().__init__(detail, **more)


class Unauthorised(ServiceError):
    """The request has no token, or its token is unknown, revoked or expired."""

    status = 401
    headers = {"WWW-Authenticate": "Bearer"}  # noqa: RUF012


class Forbidden(ServiceError):
    """The token does not permit this."""

    status = 403


class NotFound(ServiceError):
    """The named thing does not exist."""

    status = 404


class Gone(ServiceError):
    """The named thing was deleted. The error has the members `deleted` (its kind) and `deleted_at`."""

    status = 410


class Conflict(ServiceError):
    """The state of the thing does not permit this."""

    status = 409


class TooLarge(ServiceError):
    """The request has more bytes than this installation takes."""

    status = 413


class TooMany(ServiceError):
    """The sender has as many things open or under way as are allowed, or sent as many requests.

    The error has the members `limit` (what is counted), `used` and `allowed`.

    Args:
        detail: Says whose limit it is, how much is used, and when it frees.
        retry_s: When the sender may try again, seconds.
        more: The members.
    """

    status = 429

    def __init__(self, detail: str, *, retry_s: int = 10, **more: Any) -> None:
        super().__init__(detail, **more)
        self.headers = {"Retry-After": str(retry_s)}


class Busy(ServiceError):
    """The service has too much of this work at the moment. The same request may succeed soon."""

    status = 503
    headers = {"Retry-After": "5"}  # noqa: RUF012


class InvalidRequest(ServiceError):
    """A parameter or a field is unknown, or its value is invalid."""

    status = 422


class BadUpload(ServiceError):
    """The bytes differ from their declaration."""

    status = 422


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="A name for this kind of problem.", examples=["urn:vcpbench:not-found"])
    title: str = Field(examples=["Not found"])
    status: int = Field(examples=[404])
    detail: str = Field(
        description="What happened, to which thing, and what to do next.",
        examples=["No evaluation 5f0c.... List them: GET /v1/evaluations."],
    )
    request: str = Field(
        default="",
        description="The id of the request, which the service's log has, too.",
        examples=["5f0c2a1e7d"],
    )


def problem(
    status: int, kind: str, detail: str, headers: dict[str, str] | None = None, **more: Any
) -> Response:
    """Make a response of problem details."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind)
    content = {
        "type": "urn:vcpbench:" + words.lower().replace(" ", "-"),
        "title": words.capitalize(),
        "status": status,
        "detail": detail,
        "request": get_contextvars().get("request", ""),
        **more,
    }
    # JSONResponse writes UTF-8, which fails on half a surrogate pair in a quoted request. ASCII escapes it.
    return Response(json.dumps(content), status_code=status, headers=headers, media_type=MEDIA_TYPE)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Make a route's `responses`: the problems that it may answer with. What can be absent may be deleted."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    statuses = (*statuses, 410) if 404 in statuses else statuses
    return {status: {"description": TITLES[status], "content": content} for status in statuses}


# Every route may answer so: a token is missing, the request stops in the middle, a query word is unknown, the
# token sent too many requests, or the database, which notes when a token was used, is away or full.
EVERYWHERE = (401, 408, 422, 429, 503, 507)
WITH_BODY = (400, 413)  # a body that is no JSON, or too large


def install(app: FastAPI) -> None:
    """Make the application answer every error with problem details."""
    document = app.openapi

    def openapi() -> dict[str, Any]:
        found = document()
        found["components"]["schemas"]["Problem"] = Problem.model_json_schema()
        refused = responses(403)[403]  # each route that writes refuses readers; see service/auth.py
        for item in found["paths"].values():
            for operation in (item[method] for method in item if method != "get"):
                operation["responses"].setdefault("403", refused)
        return found

    # The schema is added here, and not by `model` of each response. With `model`, FastAPI would list problems
    # as application/json, too.
    app.openapi = openapi  # type: ignore[method-assign]
    app.add_exception_handler(VcpbenchError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(SQLAlchemyError, _database)
    app.add_exception_handler(UnicodeEncodeError, _no_text)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _unforeseen)


def _where(request: Request) -> str:
    """The request's path for the log, without the secret of a link that shares a page."""
    path = request.url.path
    return "/shared/..." if path.startswith("/shared/") else path


def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, VcpbenchError)
    kind = error.code
    if isinstance(error, ServiceError):
        return problem(error.status, kind, str(error), error.headers, **error.fields)
    if isinstance(error, StorageError):
        log.error("store failed", error=str(error), path=_where(request))
        if isinstance(error, StoreAway):
            detail = f"The object store cannot be reached just now. {SAFE} Try again."
            return problem(503, kind, detail, {"Retry-After": "5"})
        how = "is full" if error.full else "failed, and the service's log says how"
        detail = f"The object store {how}. {SAFE} Try again later."
        return problem(507, kind, detail)
    return problem(422 if not isinstance(error, UnknownName) else 404, kind, error.text(last_name))


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = wording.problems(list(error.errors()), request.scope["route"].dependant)
    detail = " ".join(one["message"] for one in found)
    return problem(422, "InvalidRequest", f"{detail} See /docs for what this route takes.", errors=found)


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        address = request.url.path[:MOST_QUOTED]
        return problem(404, "NotFound", f"No route {request.method} {address}. See /docs.")
    headers, detail = dict(error.headers or {}), str(error.detail)
    if error.status_code == 405:
        detail = (
            f"{request.url.path[:MOST_QUOTED]} does not take {request.method}. See /docs for what it takes."
        )
        headers["Allow"] = ", ".join(_allowed(request))
    elif error.status_code == 400:  # FastAPI raises 400 only for a body that is no text, or nested too deeply
        detail = f"The body cannot be read as JSON. {wording.SEND_JSON}"
    title = TITLES.get(error.status_code) or HTTPStatus(error.status_code).phrase
    kind = title.title().replace(" ", "")
    return problem(error.status_code, kind, detail, headers)


def _allowed(request: Request) -> list[str]:
    """The methods that the request's address takes.

    Starlette names those of the first route with this address only. Here each method is a route of its own.
    """
    found: set[str] = set()
    for one in iter_route_contexts(request.app.routes):
        if one.methods and _pattern(one.path).match(request.url.path):
            found |= one.methods
    return sorted(found)


@cache
def _pattern(path: str) -> re.Pattern[str]:
    return compile_path(path)[0]


def _database(request: Request, error: Exception) -> Response:
    log.error("database failed", error=str(error).splitlines()[0], path=_where(request))
    if isinstance(error, NoConnection):
        return problem(503, "DatabaseBusy", BUSY["53"], {"Retry-After": "5"})
    if isinstance(error, OperationalError | InterfaceError):
        state = getattr(error.orig, "sqlstate", None) or ""
        if state == DISK_FULL:
            return problem(507, "DatabaseFull", NO_ROOM)
        busy = BUSY.get(state) or BUSY.get(state[:2])
        kind = "DatabaseBusy" if busy else "DatabaseAway"
        return problem(503, kind, busy or AWAY, {"Retry-After": "5"})
    if isinstance(error, DataError):
        detail = "The database can neither store nor find a value: it holds a NUL, or is too large."
        return problem(422, "InvalidRequest", detail)
    if isinstance(error, IntegrityError):
        return problem(409, "Conflict", "Another request changed the same thing just now. Try again.")
    raise error


def _no_text(request: Request, error: Exception) -> Response:
    return problem(
        422, "InvalidRequest", "A value of the request is not text: it holds half a surrogate pair."
    )


def _gone(request: Request, error: Exception) -> Response:
    log.info("client went away", path=_where(request))
    return problem(400, "ClientDisconnect", "The connection broke.")  # the client is gone, so nobody reads it


def _unforeseen(request: Request, error: Exception) -> Response:
    # Starlette raises the error again after this response, and uvicorn logs its traceback. The client
    # gets no internal text.
    detail = "This is a fault of vcpbench. The service's log has the details. Please report it."
    headers = {HEADER: get_contextvars()["request"]}  # this response passes no middleware of ours
    return problem(500, "InternalError", detail, headers)
