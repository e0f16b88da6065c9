"""Who is asking: a bearer token opens what its team may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from records.repositories import tokens
from service.problems import Forbidden, Unauthorised

bearer = HTTPBearer(auto_error=False, description="`Authorization: Bearer vcp_...`")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
COOKIE = "vcpbench_token"  # of a browser that logged in; see service/web/session.py
HOW = "Send `Authorization: Bearer TOKEN`; `vcpbench token create` makes one."


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Whoever sent the request.

    Attributes:
        name: Of the token.
        team: Whose models it writes.
        admin: Whether it may register datasets.
    """

    name: str
    team: str
    admin: bool


def reader(request: Request, credentials: Credentials) -> Caller | None:
    """Whoever reads; None where the installation is public and no token, or a stale login, was sent.

    Raises:
        Unauthorised: If there is no token and one is needed, or it opens nothing.
    """
    secret = credentials.credentials if credentials else _cookie(request)
    token = None
    if secret is not None:
        with request.app.state.database.session() as session:
            token = tokens.find(session, secret)
    if token is None:
        if request.app.state.settings.public_read and credentials is None:
            return None
        if secret is None:
            raise Unauthorised(f"This needs a token. {HOW}")
        raise Unauthorised(f"This token is unknown or was revoked. {HOW}")
    return Caller(name=token.name, team=token.team, admin=token.admin)


def _cookie(request: Request) -> str | None:
    """A logged-in browser's token; it reads only: what writes wants a header that no other site can send."""
    if request.method not in ("GET", "HEAD"):
        return None
    return request.cookies.get(COOKIE) or None


def caller(found: Annotated[Caller | None, Depends(reader)]) -> Caller:
    """The bearer of a token.

    Raises:
        Unauthorised: If there is none.
    """
    if found is None:
        raise Unauthorised(f"This needs a token. {HOW}")
    return found


def admin(found: Annotated[Caller, Depends(caller)]) -> Caller:
    """The bearer of an administrator's token.

    Raises:
        Forbidden: If it is not one.
    """
    if not found.admin:
        raise Forbidden("This needs an administrator's token: `vcpbench token create --admin`.")
    return found


def is_of(team: str | None, found: Caller | None) -> bool:
    """Whether it is someone of that team, or an administrator."""
    return found is not None and (found.admin or found.team == team)


Reader = Annotated[Caller | None, Depends(reader)]
AnyCaller = Annotated[Caller, Depends(caller)]
Admin = Annotated[Caller, Depends(admin)]
