"""The page of a team's tokens. Its forms are in writing.py."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request, Response

from records.models import Role
from service.auth import Submitter, reader
from service.deps import Router, SessionDep, SettingsDep
from service.tokens import routes
from service.tokens.schemas import MOST_DAYS
from service.tokens.service import may_revoke
from service.web.pages import render

router = Router(include_in_schema=False, dependencies=[Depends(reader)])
LIST = 50  # tokens of a page
DAYS = 90  # that the form proposes


@router.get("/tokens")
def list_tokens(
    request: Request,
    caller: Submitter,
    session: SessionDep,
    settings: SettingsDep,
    team: str | None = None,
    offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
) -> Response:
    """Tokens of the reader's team, the newest first, and a form that makes one."""
    found = routes.page(caller, session, team or None, LIST, offset)
    most_days = settings.token_days or MOST_DAYS
    return render(
        request,
        "tokens.html",
        found=[(one, one.state == "live" and may_revoke(one, caller)) for one in found.items],
        total=found.total,
        team=team or caller.team,
        caller=caller,
        roles=[role.value for role in Role if caller.role.covers(role)],
        days=min(DAYS, most_days),
        most_days=most_days,
        must_expire=bool(settings.token_days),
        offset=offset,
        limit=LIST,
    )
