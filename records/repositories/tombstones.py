"""Tombstones: ids of what was deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from records.models import Deleted, Tombstone
from records.repositories.visibility import Visibility


class Owner(NamedTuple):
    """Whose a deleted thing was, and whether it belonged to a private model."""

    team: str
    private: bool = False


def find(session: Session, kind: Deleted, low: UUID, high: UUID, visible: Visibility) -> Tombstone | None:
    """Find what was deleted among the ids of a range, of what a reader may see; None if nothing was."""
    query = select(Tombstone).where(
        Tombstone.id.between(low, high), Tombstone.kind == kind, visible.tombstones()
    )
    return session.scalars(query.order_by(Tombstone.id).limit(1)).one_or_none()


def add(session: Session, kind: Deleted, owners: Mapping[UUID, Owner], *, by: str) -> None:
    """Note that things are deleted now. `owners` says by their ids whose they were."""
    rows = [{"id": one, "kind": kind, "by": by, **owner._asdict()} for one, owner in owners.items()]
    if rows:
        session.execute(insert(Tombstone), rows)
