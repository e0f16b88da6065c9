"""The parts that all pages share: template environment, Content-Security-Policy and the reader's theme."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from fastapi import Request, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import FileResponse, HTMLResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from service.auth import COOKIE, Caller, form_key
from service.estimates.schemas import SpanOut
from service.web import columns, figures, gallery, names, power
from vcp_core.catalog.defaults import DEFAULT_DATASET, DEFAULT_PROTOCOL
from vcp_core.catalog.units import bytes_written, written
from vcp_core.progress import duration as in_words
from vcp_core.progress import duration_range
from vcp_core.results.diagnosis import LEAST_UNITS

STATIC = Path(__file__).parent / "static"
THEME = "vcpbench_theme"
THEMES = ("light", "dark")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
    "Vary": "Accept, Cookie",
}
ENVIRONMENT = Environment(
    loader=PackageLoader("service.web"),
    autoescape=True,
    undefined=StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(
    request: Request, template: str, *, status: int = 200, headers: dict[str, str] | None = None, **more: Any
) -> Response:
    """Render a page with the values that every page needs."""
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    text = ENVIRONMENT.get_template(template).render(
        here=path,
        theme=theme(request),
        logged_in=COOKIE in request.cookies,
        form_key=_form_key(request),
        administers=_administers(request),
        share_links_days=request.app.state.settings.share_links_days,
        provider=_provider(request),
        **more,
    )
    return HTMLResponse(text, status_code=status, headers={**HEADERS, **(headers or {})})


def _form_key(request: Request) -> str | None:
    """The key of this browser's forms; None if nobody is logged in who may write."""
    secret, who = request.cookies.get(COOKIE), getattr(request.state, "caller", None)
    return form_key(secret) if secret and who is not None and who.writes else None


def _provider(request: Request) -> str | None:
    """The host of the sign-in provider, for people; None if they log in with tokens only."""
    return urlsplit(request.app.state.settings.oidc_issuer).netloc or None


def _administers(request: Request) -> bool:
    """Whether the route found an administrator's token in the request."""
    caller: Caller | None = getattr(request.state, "caller", None)
    return caller is not None and caller.admin


def public_url(request: Request) -> str:
    """The service's address for readers. A request through a proxy that ends TLS does not show it."""
    return str(request.app.state.settings.public_url or request.base_url).rstrip("/")


def theme(request: Request) -> str | None:
    """The chosen theme; None for the system's."""
    found = request.cookies.get(THEME)
    return found if found in THEMES else None


@cache
def static(path: str) -> str:
    """Make the address of a static file. It changes with the content, so browsers may keep the file."""
    digest = hashlib.sha256((STATIC / path).read_bytes()).hexdigest()
    return f"/static/{path}?v={digest[:12]}"


class Static(StaticFiles):
    """Static files. A browser keeps a file forever if the address holds the hash of its content."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file."""
        response = await super().get_response(path, scope)
        if isinstance(response, FileResponse) and scope["query_string"].startswith(b"v="):
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def moment(at: datetime | None) -> str:
    """Write a time for people: UTC, to the minute."""
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"


def duration(seconds: float | None) -> str:
    """Write a duration for people, rounded.

    >>> duration(35.0), duration(None)
    ('35 s', '')
    """
    return "" if seconds is None else in_words(seconds)


def span(found: SpanOut | None) -> str:
    """Write a range of seconds for people."""
    return "" if found is None else duration_range(found.low, found.high)


def size(num_bytes: int | None) -> str:
    """Write a number of bytes for people.

    >>> size(3642287)
    '3.6 MB'
    """
    return "" if num_bytes is None else bytes_written(num_bytes)


def probability(value: float) -> str:
    """Write a p-value for people.

    >>> probability(0.2345), probability(0.00001)
    ('0.234', '< 0.001')
    """
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def model_path(team: str, name: str) -> str:
    """The address of a model's page; names may hold slashes."""
    return f"/models/{quote(team)}/{quote(name)}"


ENVIRONMENT.filters.update(
    moment=moment,
    duration=duration,
    size=size,
    span=span,
    probability=probability,
    written=written,
    signed=figures.signed,
)
ENVIRONMENT.globals.update(
    static=static,
    model_path=model_path,
    title_of=names.title,
    by_benchmark=names.by_benchmark,
    column_groups=columns.groups,
    bar=figures.bar,
    heat_level=figures.heat_level,
    share_level=figures.share_level,
    power_limits=power.LIMITS,
    least_units=LEAST_UNITS,
    answers_at=gallery.cell,
    gallery_at=gallery.address,
    default_dataset=DEFAULT_DATASET,
    default_protocol=DEFAULT_PROTOCOL,
    shared=None,  # of a page that a link shares: the address of its chart, and until when
)
