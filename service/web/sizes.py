"""The page of sizes in the store."""

from __future__ import annotations

from fastapi import Request, Response

from service.auth import AnyCaller
from service.deps import Router, SessionDep, SettingsDep
from service.sizes import service
from service.web.pages import render

router = Router(include_in_schema=False)


@router.get("/sizes")
def show(request: Request, caller: AnyCaller, session: SessionDep, settings: SettingsDep) -> Response:
    """What the reader's team has in the store; everything for an administrator."""
    found = service.of(session, settings, caller)
    return render(request, "sizes.html", found=found, team=None if caller.admin else caller.team)
