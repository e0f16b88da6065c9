"""Identify the sender of a request by its bearer token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from records.repositories import tokens
from service.problems import Forbidden, Unauthorised
from service.request_rates import RequestRates

bearer = HTTPBearer(auto_error=False, description="`Authorization: Bearer vcp_...`")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
COOKIE = "vcpbench_token"  # of a browser that logged in; see service/web/session.py
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
    token = None
    if secret is not None:
        with request.app.state.database.session() as session:
            token = tokens.find(session, secret)
    rates: RequestRates = request.app.state.request_rates
    if token is None:
        address = request.client.host if request.client else ""
        rates.count(f"address {address}", f"Address {address} without a valid token")
        if request.app.state.settings.public_read and credentials is None:
            return None
        if secret is None:
            raise Unauthorised(f"This request needs a token. {HOW}")
        raise Unauthorised(f"This token is unknown or was revoked. {HOW}")
    rates.count(f"token {token.id}", f"Token {token.name!r} of team {token.team!r}")
    return Caller(name=token.name, team=token.team, admin=token.admin)


def _cookie(request: Request) -> str | None:
    """The token of a logged-in browser, which only reads.

    Requests that write need the Authorization header, which no other site can make the browser send.
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
Admin = Annotated[Caller, Depends(admin)]
