"""Tombstones: ids of what was deleted."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from records.models import Deleted, Tombstone


def find(session: Session, kind: Deleted, low: UUID, high: UUID) -> Tombstone | None:
    """Find what was deleted among the ids of a range; None if nothing was."""
    query = select(Tombstone).where(Tombstone.id.between(low, high), Tombstone.kind == kind)
    return session.scalars(query.order_by(Tombstone.id).limit(1)).one_or_none()


def add(session: Session, kind: Deleted, teams: Mapping[UUID, str], *, by: str) -> None:
    """Note that things are deleted now. `teams` has their teams by their ids."""
    rows = [{"id": one, "kind": kind, "team": team, "by": by} for one, team in teams.items()]
    if rows:
        session.execute(insert(Tombstone), rows)
