"""Saved views: a team's names for addresses of pages."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from records.models import SavedView


def of_team(session: Session, team: str, page: str | None = None) -> Sequence[SavedView]:
    """A team's views by page and name, or those of one page."""
    query = select(SavedView).where(SavedView.team == team)
    if page is not None:
        query = query.where(SavedView.page == page)
    return session.scalars(query.order_by(SavedView.page, SavedView.name)).all()


def page_of_team(
    session: Session, team: str, *, limit: int, offset: int = 0
) -> tuple[Sequence[SavedView], int]:
    """Some of a team's views by page and name, and how many there are."""
    query = select(SavedView).where(SavedView.team == team).order_by(SavedView.page, SavedView.name)
    return session.scalars(query.limit(limit).offset(offset)).all(), count(session, team)


def named(session: Session, team: str, page: str, name: str) -> SavedView | None:
    """The team's view of a page that has this name."""
    query = select(SavedView).where(SavedView.team == team, SavedView.page == page, SavedView.name == name)
    return session.scalars(query).one_or_none()


def get(session: Session, view_id: UUID) -> SavedView | None:
    """Find a view by its id."""
    return session.get(SavedView, view_id)


def count(session: Session, team: str) -> int:
    """How many views a team has."""
    query = select(func.count()).select_from(SavedView).where(SavedView.team == team)
    return session.scalar(query) or 0


def save(session: Session, *, team: str, page: str, name: str, query: str, by: str) -> SavedView:
    """Save a view."""
    found = SavedView(team=team, page=page, name=name, query=query, by=by)
    session.add(found)
    session.flush()
    session.refresh(found)
    return found


def delete(session: Session, view: SavedView) -> None:
    """Delete a view."""
    session.delete(view)
    session.flush()
