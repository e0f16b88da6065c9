"""Identify the sender of a request: by a bearer token, or by the cookie of a browser that logged in.

A request that writes needs the role submitter or admin. `bearer_of` sees to that for every route, so that a
new route cannot forget it. What more a route needs, it says by the type of its argument: `AnyCaller`,
`Submitter`, `Admin`. tests/service/test_auth.py has the least role of every route.
"""

from __future__ import annotations

import hashlib
import hmac
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.orm import Session

from records.models import Role, SignIn, Token
from records.repositories import sign_ins, tokens
from service.oidc import Provider
from service.problems import Forbidden, Unauthorised
from service.request_rates import RequestRates

bearer = HTTPBearer(auto_error=False, description="`Authorization: Bearer vcp_...`")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
COOKIE = "vcpbench_token"  # of a browser that logged in; see service/web/session.py
ACTS = "VCPBench-Page"  # header of a page's script that sends something; see `on_page`
HOW = "Send `Authorization: Bearer TOKEN`; `vcpbench token create` makes one."
READS = ("GET", "HEAD")  # methods that change nothing


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The sender of a request, known by a token or by a sign-in.

    Attributes:
        name: Name of the token, or of the person who signed in.
        team: The team that the sender reads and writes for.
        role: What the sender may do.
        owner: The owner of the token, or the person who signed in.
        expires_at: When the token expires. None if it does not, and for a sign-in.
        signed_in: Whether a provider named the sender. Such a name is for people: it may be anybody's choice.
    """

    name: str
    team: str
    role: Role
    owner: str
    expires_at: datetime | None = None
    signed_in: bool = False

    @property
    def admin(self) -> bool:
        """Whether the sender is an administrator, who may do everything for every team."""
        return self.role is Role.ADMIN

    @property
    def writes(self) -> bool:
        """Whether the sender may upload, evaluate and write for its team."""
        return self.role.covers(Role.SUBMITTER)


def reader(request: Request, credentials: Credentials) -> Caller | None:
    """Identify the reader. None if the installation is public and the request has no token or an old login.

    Raises:
        Unauthorised: If a token is needed and none was sent, or if the token is unknown, revoked or expired.
        Forbidden: If the request writes, and the sender may only read.
        TooMany: If the token, or the address of a sender without one, sent too many requests in this minute.
    """
    secret = credentials.credentials if credentials else _cookie(request)
    found = bearer_of(request, secret, from_cookie=credentials is None)
    if found is None:
        if request.app.state.settings.public_read and credentials is None:
            return None
        if secret is None:
            raise Unauthorised(f"This request needs a token. {HOW}")
        what_next = HOW if credentials else "Log in again."
        raise Unauthorised(f"{why_refused(request, secret)} {what_next}")
    return found


def on_page(request: Request) -> Caller:
    """Identify a logged-in person who sends something by a page of this site, such as an upload.

    The browser sends the cookie by itself, so the cookie alone does not show who wrote the request. A page of
    another site cannot send this request: SameSite keeps the cookie back, and no browser sends the header
    `VCPBench-Page` to another site unless that site allows it, which this one never does.

    Raises:
        Forbidden: If the request may come from another site, or the sender may only read.
        Unauthorised: If nobody is logged in, or the token was revoked since.
        TooMany: If the token, or the address of a sender without one, sent too many requests in this minute.
    """
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin" or ACTS not in request.headers:
        raise Forbidden("This request came from another site. Open the page here and send it again.")
    found = bearer_of(request, request.cookies.get(COOKIE))
    if found is None:
        raise Unauthorised("You are not logged in any more. Log in with a token at /login.")
    return found


def bearer_of(request: Request, secret: str | None, *, from_cookie: bool = True) -> Caller | None:
    """Identify the bearer of a secret, and count the request. None if it is no token's and no sign-in's.

    Args:
        request: Of the sender.
        secret: As it was sent; None if none was.
        from_cookie: Whether it came in a cookie. Only then it may be a sign-in's.

    Raises:
        Forbidden: If the request writes, and the bearer may only read.
        TooMany: If the token, or the address of a sender without one, sent too many requests in this minute.
    """
    found = None
    if secret is not None:
        with request.app.state.database.session() as session:
            found = _known(session, secret, request.app.state.provider if from_cookie else None)
    if found is None:
        count_address(request)
        return None
    row, who = found
    kind = "Token" if isinstance(row, Token) else "Sign-in"
    _rates(request).count(f"{kind} {row.id}", f"{kind} {row.name!r} of team {row.team!r}")
    if request.method not in READS and not who.writes:
        raise _needs(Role.SUBMITTER, who)
    request.state.caller = who  # for templates, and for the audit log
    return who


def _known(session: Session, secret: str, provider: Provider | None) -> tuple[Token | SignIn, Caller] | None:
    """Find whose secret it is. A sign-in counts only if the installation's settings would allow it today."""
    if provider is not None and secret.startswith(sign_ins.PREFIX):
        person = sign_ins.find(session, secret)
        if person is None or not provider.admits(person.issuer, person.team, person.role):
            return None
        who = Caller(name=person.name, team=person.team, role=person.role, owner=person.name, signed_in=True)
        return person, who
    token = tokens.find(session, secret)
    if token is None:
        return None
    return token, Caller(
        name=token.name, team=token.team, role=token.role, owner=token.owner, expires_at=token.expires_at
    )


def why_refused(request: Request, secret: str) -> str:
    """Say why a secret opens nothing."""
    if secret.startswith(sign_ins.PREFIX):
        return "This sign-in has ended."
    with request.app.state.database.session() as session:
        expired = tokens.expired_at(session, secret)
    if expired is None:
        return "This token is unknown or was revoked."
    return f"This token expired on {expired.astimezone(UTC):%Y-%m-%d at %H:%M} UTC."


def form_key(secret: str) -> str:
    """The key of a logged-in browser's forms. It is derived from the token and does not reveal it."""
    return hmac.new(secret.encode(errors="replace"), b"vcpbench form", hashlib.sha256).hexdigest()


def address_of(request: Request) -> str:
    """The client's address. Empty for a client on a Unix socket."""
    return request.client.host if request.client else ""


def count_address(request: Request) -> None:
    """Count a request without a valid token by its client's address.

    Raises:
        TooMany: If too many came from there in this minute.
    """
    host = address_of(request)
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
    if request.method not in READS:
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


def submitter(found: Annotated[Caller, Depends(caller)]) -> Caller:
    """The sender, who must be a submitter or an administrator.

    A route that writes does not need it: `bearer_of` refuses readers there.

    Raises:
        Forbidden: If the sender may only read.
    """
    if not found.writes:
        raise _needs(Role.SUBMITTER, found)
    return found


def admin(found: Annotated[Caller, Depends(caller)]) -> Caller:
    """The sender, who must be an administrator.

    Raises:
        Forbidden: If the sender is none.
    """
    if not found.admin:
        raise _needs(Role.ADMIN, found)
    return found


def _needs(role: Role, found: Caller) -> Forbidden:
    return Forbidden(
        f"This request needs at least the role {role}, and {found.name!r} of team {found.team!r} has the "
        f"role {found.role}. Ask an administrator for a token of that role: "
        f"`vcpbench token create --role {role}`."
    )


def is_of(team: str | None, found: Caller | None) -> bool:
    """Whether the sender belongs to the team or is an administrator."""
    return found is not None and (found.admin or found.team == team)


Reader = Annotated[Caller | None, Depends(reader)]
AnyCaller = Annotated[Caller, Depends(caller)]
Submitter = Annotated[Caller, Depends(submitter)]
PageSender = Annotated[Caller, Depends(on_page)]
Admin = Annotated[Caller, Depends(admin)]
