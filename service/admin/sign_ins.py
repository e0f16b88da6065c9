"""See who is signed in, and sign people out."""

from __future__ import annotations

import structlog
from sqlalchemy.orm import Session

from records.repositories import sign_ins
from service.admin.schemas import SignedOutOut, SignInOut, SignInPage
from service.auth import Caller
from service.oidc import Provider
from service.problems import NotFound
from service.references import FEWEST, MOST_TOLD, Ambiguous
from vcp_core.catalog.validation import quoted

log = structlog.get_logger("vcpbench.service")


def page(
    session: Session, provider: Provider | None, team: str | None, *, limit: int, offset: int = 0
) -> SignInPage:
    """The sessions of people who signed in at the provider. Without a provider, there are none."""
    if provider is None:
        return SignInPage(items=[], total=0)
    found, total = sign_ins.page(session, provider.admitted, team, limit=limit, offset=offset)
    return SignInPage(items=[SignInOut.of(one) for one in found], total=total)


def end(session: Session, provider: Provider | None, wanted: str, caller: Caller) -> SignedOutOut:
    """End all sessions of one person.

    Args:
        session: Of the caller.
        provider: Where people sign in.
        wanted: The person's name, or the id of one of their sessions, or its first characters.
        caller: An administrator.

    Raises:
        NotFound: If nobody of this name is signed in.
        Ambiguous: If several people have this name. People choose their names at the provider.
    """
    begins = wanted.lower() if len(wanted) >= FEWEST else None
    found = sign_ins.of_person(session, provider.admitted, wanted, begins) if provider else ()
    if not found:
        raise NotFound(f"Nobody called {quoted(wanted)} is signed in. GET /v1/admin/sign-ins lists who is.")
    people = {(one.issuer, one.subject): one for one in found}
    if len(people) > 1:
        told = [f"{one.id} ({one.name} of team {one.team})" for one in people.values()]
        more = ", and more" if len(told) > MOST_TOLD else ""
        raise Ambiguous(
            f"{quoted(wanted)} names several people who are signed in: {', '.join(told[:MOST_TOLD])}{more}. "
            "Give one of these ids.",
            candidates=[str(one.id) for one in people.values()][:MOST_TOLD],
        )
    ((issuer, subject),) = people
    sessions = sign_ins.end_all(session, issuer=issuer, subject=subject)
    name, team = found[0].name, found[0].team
    log.warning("signed out", name=name, team=team, sessions=sessions, by=caller.name)
    return SignedOutOut(name=name, team=team, sessions=sessions)
