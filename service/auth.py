"""Identify the sender of a request by its bearer token."""

from __future__ import annotations

import hashlib
import hmac
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from records.repositories import tokens
from service.problems import Forbidden, Unauthorised
from service.request_rates import RequestRates

bearer = HTTPBearer(auto_error=False, description="`Authorization: Bearer vcp_...`")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
COOKIE = "vcpbench_token"  # of a browser that logged in; see service/web/session.py
ACTS = "VCPBench-Page"  # header of a page's script that sends something; see `on_page`
HOW = "Send `Authorization: Bearer TOKEN`; `vcpbench token create` makes one."


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The sender of a request, known by a token.

    Attributes:
        name: Name of the token.
        team: The team that the sender may upload for.
        admin: Whether the sender is an administrator, who may register datasets.
    """

    name: str
    team: str
    admin: bool


def reader(request: Request, credentials: Credentials) -> Caller | None:
    """Identify the reader. None if the installation is public and the request has no token or an old login.

    Raises:
        Unauthorised: If a token is needed and none was sent, or if the token is unknown or revoked.
        TooMany: If the token, or the address of a sender without one, sent too many requests in this minute.
    """
    secret = credentials.credentials if credentials else _cookie(request)
    found = bearer_of(request, secret)
    if found is None:
        if request.app.state.settings.public_read and credentials is None:
            return None
        if secret is None:
            raise Unauthorised(f"This request needs a token. {HOW}")
        raise Unauthorised(f"This token is unknown or was revoked. {HOW}")
    return found


def on_page(request: Request) -> Caller:
    """Identify a logged-in person who sends something by a page of this site, such as an upload.

    The browser sends the cookie by itself, so the cookie alone does not show who wrote the request. A page of
    another site cannot send this request: SameSite keeps the cookie back, and no browser sends the header
    `VCPBench-Page` to another site unless that site allows it, which this one never does.

    Raises:
        Forbidden: If the request may come from another site.
        Unauthorised: If nobody is logged in, or the token was revoked since.
        TooMany: If the token, or the address of a sender without one, sent too many requests in this minute.
    """
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin" or ACTS not in request.headers:
        raise Forbidden("This request came from another site. Open the page here and send it again.")
    found = bearer_of(request, request.cookies.get(COOKIE))
    if found is None:
        raise Unauthorised("You are not logged in any more. Log in with a token at /login.")
    return found


def bearer_of(request: Request, secret: str | None) -> Caller | None:
    """Identify the bearer of a secret, and count the request. None if it is no token's.

    Raises:
        TooMany: If the token, or the address of a sender without one, sent too many requests in this minute.
    """
    token = None
    if secret is not None:
        with request.app.state.database.session() as session:
            token = tokens.find(session, secret)
    if token is None:
        count_address(request)
        return None
    _rates(request).count(f"token {token.id}", f"Token {token.name!r} of team {token.team!r}")
    found = Caller(name=token.name, team=token.team, admin=token.admin)
    request.state.caller = found  # for the audit log
    return found


def form_key(secret: str) -> str:
    """The key of a logged-in browser's forms. It is derived from the token and does not reveal it."""
    return hmac.new(secret.encode(errors="replace"), b"vcpbench form", hashlib.sha256).hexdigest()


def count_address(request: Request) -> None:
    """Count a request without a valid token by its client's address.

    Raises:
        TooMany: If too many came from there in this minute.
    """
    host = request.client.host if request.client else ""
    with suppress(ValueError):  # no address: a socket's path, or nothing
        if (address := ip_address(host)).version == 6:
            host = str(ip_network((address, 64), strict=False))  # one machine often has all of it
    _rates(request).count(f"address {host}", f"Address {host} without a valid token")


def _rates(request: Request) -> RequestRates:
    found: RequestRates = request.app.state.request_rates
    return found


def _cookie(request: Request) -> str | None:
    """The token of a logged-in browser, for requests that read.

    Requests that write need the Authorization header, which no other site can make the browser send. What
    pages send is an exception: service/web/writing.py takes their forms, and the routes below `/submit` their
    uploads (`on_page`), from this site's own pages only.
    """
    if request.method not in ("GET", "HEAD"):
        return None
    return request.cookies.get(COOKIE) or None


def caller(found: Annotated[Caller | None, Depends(reader)]) -> Caller:
    """The sender, who must have a token.

    Raises:
        Unauthorised: If the request has no token.
    """
    if found is None:
        raise Unauthorised(f"This request needs a token. {HOW}")
    return found


def admin(found: Annotated[Caller, Depends(caller)]) -> Caller:
    """The sender, who must have an administrator's token.

    Raises:
        Forbidden: If the token is not an administrator's.
    """
    if not found.admin:
        raise Forbidden("This request needs an administrator's token: `vcpbench token create --admin`.")
    return found


def is_of(team: str | None, found: Caller | None) -> bool:
    """Whether the sender belongs to the team or is an administrator."""
    return found is not None and (found.admin or found.team == team)


Reader = Annotated[Caller | None, Depends(reader)]
AnyCaller = Annotated[Caller, Depends(caller)]
PageSender = Annotated[Caller, Depends(on_page)]
Admin = Annotated[Caller, Depends(admin)]
