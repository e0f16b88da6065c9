"""`/v1/views`."""

from __future__ import annotations

from uuid import UUID

from records.repositories import views
from service.auth import AnyCaller
from service.deps import Limit, Offset, Router, SessionDep
from service.problems import WITH_BODY, responses
from service.views import service
from service.views.schemas import ViewIn, ViewOut, ViewPage, shown

router = Router(prefix="/views", tags=["views"])


@router.get("", summary="List your team's views")
def page(caller: AnyCaller, session: SessionDep, limit: Limit = 50, offset: Offset = 0) -> ViewPage:
    """Your team's saved views, by page and name. Other teams do not see them."""
    found, total = views.page_of_team(session, caller.team, limit=limit, offset=offset)
    return ViewPage(items=[shown(one) for one in found], total=total)


@router.post("", status_code=201, responses=responses(*WITH_BODY, 409), summary="Save a view")
def save(body: ViewIn, caller: AnyCaller, session: SessionDep) -> ViewOut:
    """Give the address of a page a name. The page then lists the view for your team."""
    return shown(service.save(session, body, caller))


@router.delete("/{view_id}", responses=responses(404), summary="Delete a view")
def delete(view_id: UUID, caller: AnyCaller, session: SessionDep) -> ViewOut:
    """Delete a view of your team. The answer is the view: to undo this, save it again."""
    return shown(service.delete(session, view_id, caller))
