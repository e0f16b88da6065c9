"""Add up what is in the store."""

from __future__ import annotations

from sqlalchemy.orm import Session

from records import retention
from records.repositories import sizes
from records.settings import Settings
from service.auth import Caller
from service.sizes.schemas import SizeOut, SizesOut


def of(session: Session, settings: Settings, caller: Caller) -> SizesOut:
    """What the caller's team has in the store; everything for an administrator."""
    found = sizes.every(
        session,
        features=[one.id for one in retention.features_to_go(session, settings)],
        previews=[one.id for one in retention.previews_to_go(session, settings)],
    )
    seen = [one for one in found if caller.admin or one.team == caller.team]
    mine = [SizeOut.model_validate(one, from_attributes=True) for one in seen]
    return SizesOut(
        sizes=mine,
        count=sum(one.count for one in mine),
        size_bytes=sum(one.size_bytes for one in mine),
        would_free_bytes=sum(one.would_free_bytes for one in mine),
    )
