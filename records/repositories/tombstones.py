"""Tombstones: ids of what was deleted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from records.models import Deleted, Tombstone
from records.repositories.visibility import Visibility


class Origin(NamedTuple):
    """When a deleted thing was made, whose it was, and whether it belonged to a private model."""

    made_at: datetime
    team: str
    private: bool = False


def find(session: Session, kind: Deleted, low: UUID, high: UUID, visible: Visibility) -> Tombstone | None:
    """Find what was deleted among the ids of a range, of what a reader may see; None if nothing was."""
    query = select(Tombstone).where(
        Tombstone.id.between(low, high), Tombstone.kind == kind, visible.tombstones()
    )
    return session.scalars(query.order_by(Tombstone.id).limit(1)).one_or_none()


def add(session: Session, kind: Deleted, origins: Mapping[UUID, Origin], *, by: str) -> None:
    """Note that things are deleted now. `origins` says by their ids where they came from."""
    rows = [{"id": one, "kind": kind, "by": by, **origin._asdict()} for one, origin in origins.items()]
    if rows:
        session.execute(insert(Tombstone), rows)
