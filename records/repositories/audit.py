"""Who changed what."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from records.db import NOW
from records.models import AuditEntry


def add(
    session: Session,
    *,
    team: str,
    by: str,
    by_admin: bool,
    action: str,
    subject: dict[str, Any],
    address: str,
) -> None:
    """Write an entry in the transaction of the change."""
    session.add(
        AuditEntry(team=team, by=by, by_admin=by_admin, action=action, subject=subject, address=address)
    )


def page(
    session: Session, team: str | None, *, by_admins: bool, limit: int, offset: int = 0
) -> tuple[Sequence[AuditEntry], int]:
    """Entries of a team or of all teams, the newest first, and how many there are.

    Args:
        session: Of the caller.
        team: The only team; None for all.
        by_admins: Whether entries of administrators are among them. They may name private models of others.
        limit: Rows of a page.
        offset: Rows before the page.
    """
    query = select(AuditEntry)
    if team is not None:
        query = query.where(AuditEntry.team == team)
    if not by_admins:
        query = query.where(~AuditEntry.by_admin)
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    ordered = query.order_by(AuditEntry.created_at.desc(), AuditEntry.id).limit(limit).offset(offset)
    return session.scalars(ordered).all(), total


def forget_old(session: Session, days: int) -> None:
    """Delete entries that are older than so many days."""
    session.execute(delete(AuditEntry).where(AuditEntry.created_at < NOW - timedelta(days=days)))
