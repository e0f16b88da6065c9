"""Save views of pages, and delete them."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.orm import Session

from records.models import SavedView
from records.repositories import locks, views
from service.auth import Caller
from service.problems import Conflict, NotFound
from service.views.schemas import ViewIn, address_of

MAX_VIEWS = 100  # of a team; a page lists all of its own


def save(session: Session, wanted: ViewIn, caller: Caller) -> SavedView:
    """Save a view for the caller's team. The same name and address again give the view that is there.

    Raises:
        Conflict: If the team has another view of this name on this page, or too many views.
    """
    page, _, query = wanted.address.partition("?")
    locks.take(session, f"vcpbench.views.{caller.team}")  # two views at once are counted one by one
    before = views.named(session, caller.team, page, wanted.name)
    if before is not None and before.query == query:
        return before
    if before is not None:
        raise Conflict(
            f"Team {caller.team!r} has a view {wanted.name!r} of this page: {address_of(before)}. "
            "Choose another name, or delete that view first."
        )
    number = views.count(session, caller.team)
    if number >= MAX_VIEWS:
        raise Conflict(
            f"Team {caller.team!r} has {number} views, and {MAX_VIEWS} are allowed. Delete one first."
        )
    return views.save(session, team=caller.team, page=page, name=wanted.name, query=query, by=caller.name)


def delete(session: Session, view_id: UUID, caller: Caller) -> SavedView:
    """Delete a view of the caller's team, and return it.

    Raises:
        NotFound: If the team has no such view.
    """
    found = views.get(session, view_id)
    if found is None or found.team != caller.team:
        raise NotFound(f"Team {caller.team!r} has no view {view_id}. List them: GET /v1/views.")
    views.delete(session, found)
    return found
