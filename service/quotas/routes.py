"""`/v1/quota`, and `/v1/admin/quotas` for administrators."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

from service.auth import Admin, AnyCaller
from service.deps import Router, SessionDep, SettingsDep
from service.problems import WITH_BODY, responses
from service.quotas import service
from service.quotas.schemas import QuotaIn, QuotaOut, TeamName

router = Router(tags=["operation"])
Team = Annotated[TeamName, Path(description="Name of the team.", examples=["vision"])]


@router.get("/quota", summary="Show what your team uses")
def show_own(caller: AnyCaller, session: SessionDep, settings: SettingsDep) -> QuotaOut:
    """What your team uses, what it may use, and when there is room again."""
    return service.of_team(session, caller.team, settings)


@router.get("/admin/quotas/{team:path}", responses=responses(403, 404), summary="Show what a team uses")
def show(team: Team, _: Admin, session: SessionDep, settings: SettingsDep) -> QuotaOut:
    """What a team uses, and what it may use. A team that has uploaded nothing uses nothing."""
    return service.of_team(session, team, settings)


@router.put(
    "/admin/quotas/{team:path}", responses=responses(*WITH_BODY, 403, 404), summary="Set what a team may use"
)
def put(team: Team, body: QuotaIn, caller: Admin, session: SessionDep, settings: SettingsDep) -> QuotaOut:
    """Give a team limits of its own. A limit that is left out stays.

    What the team uses already is not touched: beyond its limit, it only gets nothing more.
    """
    service.set_limits(session, team, body, caller)
    return service.of_team(session, team, settings)
