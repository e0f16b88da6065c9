"""`/login/oidc`: sign in at the OpenID Connect provider of the installation."""

from __future__ import annotations

import hmac
from urllib.parse import quote, unquote

import structlog
from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from records.models import Role
from records.repositories import audit, sign_ins
from service.auth import address_of, count_address
from service.deps import DatabaseDep, Router, SettingsDep
from service.oidc import Attempt, Person, Provider, SignInFailed
from service.parameters import CALLBACK
from service.problems import Forbidden, NotFound
from service.web.pages import public_url, render
from service.web.session import keep, local
from vcp_core.catalog.validation import quoted

router = Router(include_in_schema=False)
ATTEMPT = "vcpbench_attempt"  # cookie: the key of an attempt, and the page that the person wanted
ATTEMPT_S = 600
PATH = "/login/oidc"
LONGEST_NEXT = 2000  # characters; a browser keeps cookies of 4,096 bytes
log = structlog.get_logger("vcpbench.service")


@router.get(PATH)
def begin(request: Request, next: str = "/") -> Response:
    """Send the browser to the provider."""
    count_address(request)
    attempt = Attempt.new()
    response = RedirectResponse(_provider(request).address(attempt, _redirect_uri(request)), status_code=303)
    wanted = local(next) if len(next) <= LONGEST_NEXT else "/"
    # Lax, not strict: the browser comes back from another site, and must bring the cookie.
    response.set_cookie(
        ATTEMPT,
        f"{attempt.key}.{quote(wanted, safe='')}",
        max_age=ATTEMPT_S,
        path=PATH,
        httponly=True,
        samesite="lax",
        secure=public_url(request).startswith("https:"),
    )
    return response


@router.get(CALLBACK)
def come_back(
    request: Request,
    database: DatabaseDep,
    settings: SettingsDep,
    code: str = "",
    state: str = "",
    error: str = "",
    iss: str = "",
) -> Response:
    """Sign the person in who comes back from the provider, if a group of theirs is a team's."""
    count_address(request)
    provider = _provider(request)
    key, _, wanted = request.cookies.get(ATTEMPT, "").partition(".")
    attempt = Attempt(key)
    if not key or not hmac.compare_digest(state.encode(), attempt.state.encode()):
        raise SignInFailed(
            "This browser began no such sign-in in the last 10 minutes. Begin again at /login, in one tab."
        )
    if error:
        raise SignInFailed(f"The sign-in provider refused: {quoted(error)}. Begin again at /login.")
    if iss and iss != provider.issuer:  # RFC 9207
        raise SignInFailed("Another provider answered. Begin again at /login.")
    person = provider.person(code, attempt, _redirect_uri(request))
    place = provider.place(person)
    with database.session() as session:
        if place is None:
            sign_ins.end_all(session, issuer=person.issuer, subject=person.subject)
        else:
            _, secret = sign_ins.create(
                session,
                issuer=person.issuer,
                subject=person.subject,
                name=person.name,
                team=place.team,
                role=place.role,
                hours=settings.oidc_hours,
            )
            audit.add(
                session,
                team=place.team,
                by=person.name,
                by_admin=place.role is Role.ADMIN,
                action=f"GET {CALLBACK}",
                subject={"role": place.role.value},
                address=address_of(request),
            )
    if place is None:
        raise _stranger(person)
    log.info("signed in", name=person.name, team=place.team, role=place.role.value)
    # A page and no redirect: a browser sends a strict cookie only with requests that begin on this site.
    response = render(
        request, "signed_in.html", next_path=local(unquote(wanted)), name=person.name, place=place
    )
    keep(request, response, secret, lasts_s=settings.oidc_hours * 3600)
    response.delete_cookie(ATTEMPT, path=PATH, httponly=True, samesite="lax")
    return response


def _provider(request: Request) -> Provider:
    found: Provider | None = request.app.state.provider
    if found is None:
        raise NotFound("This installation has no sign-in provider. Log in with a token at /login.")
    return found


def _redirect_uri(request: Request) -> str:
    return public_url(request) + CALLBACK


def _stranger(person: Person) -> Forbidden:
    log.warning("sign-in of no team", name=person.name)
    groups = ", ".join(map(quoted, person.groups[:10])) or "none"
    return Forbidden(
        f"You are {person.name!r} at the provider, and none of your groups there is a team here. Your "
        f"groups: {groups}. Ask an administrator to name one of them in VCPBENCH_OIDC_TEAMS, or to "
        "add you to another."
    )
