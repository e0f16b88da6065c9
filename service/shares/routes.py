"""`/v1/shares`."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query, Request

from records.repositories import shares
from service.auth import AnyCaller
from service.deps import Limit, Offset, Router, SessionDep, SettingsDep
from service.problems import WITH_BODY, Forbidden, responses
from service.shares import service
from service.shares.schemas import NewShareOut, ShareIn, ShareOut, SharePage, facts
from service.visible import visible_to

router = Router(prefix="/shares", tags=["shares"])


@router.get("", responses=responses(403), summary="List your team's links")
def page(
    caller: AnyCaller,
    session: SessionDep,
    team: Annotated[str | None, Query(description="Another team, for an administrator.")] = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> SharePage:
    """Your team's links that read one page, the newest first, also those that open nothing any more."""
    if team not in (None, caller.team) and not caller.admin:
        raise Forbidden("Only an administrator lists the links of another team.")
    found, total = shares.page(session, team or caller.team, visible_to(caller), limit=limit, offset=offset)
    states = shares.states(session, [one.id for one in found])
    return SharePage(
        items=[ShareOut.model_validate(facts(one, states[one.id])) for one in found], total=total
    )


@router.post("", status_code=201, responses=responses(*WITH_BODY, 403, 404, 409), summary="Share a page")
def create(
    body: ShareIn, caller: AnyCaller, session: SessionDep, settings: SettingsDep, request: Request
) -> NewShareOut:
    """Make a link that reads the page of one evaluation or one comparison, and nothing else.

    Whoever has the link reads the page without a token until the link expires or is revoked.
    """
    share, secret = service.create(session, body, caller, settings.share_links_days)
    return NewShareOut.model_validate({**facts(share, "live"), "url": service.address(request, secret)})


@router.delete("/{share_id}", responses=responses(404), summary="Revoke a link")
def revoke(share_id: UUID, caller: AnyCaller, session: SessionDep) -> ShareOut:
    """Revoke a link of your team. It opens nothing from then on. To undo this, make a new link."""
    found = service.revoke(session, share_id, caller)
    return ShareOut.model_validate(facts(found, shares.states(session, [found.id])[found.id]))
