"""`/v1/audit`."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from records.repositories import audit
from service.audit.schemas import AuditOut, AuditPage
from service.auth import AnyCaller
from service.deps import Limit, Offset, Router, SessionDep
from service.problems import Forbidden, responses

router = Router(prefix="/audit", tags=["operation"])


@router.get("", responses=responses(403), summary="Show who changed what")
def page(
    caller: AnyCaller,
    session: SessionDep,
    team: Annotated[
        str | None, Query(description="One team's entries. Only an administrator reads another team's.")
    ] = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> AuditPage:
    """Requests that changed something, the newest first.

    An administrator reads those of all teams, and everybody else those of the own team, without those of
    administrators: these may be about another team's private model.
    """
    if team not in (None, caller.team) and not caller.admin:
        raise Forbidden("Only an administrator reads the audit log of another team.")
    wanted = team if caller.admin else caller.team
    found, total = audit.page(session, wanted, by_admins=caller.admin, limit=limit, offset=offset)
    return AuditPage(items=[AuditOut.model_validate(one) for one in found], total=total)
