"""Maps: one for an evaluation, another whose map it begins at, and a version of the method."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, and_, delete, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from records.db import NOW
from records.models import Job, JobKind, MapRow, MapState
from records.repositories import jobs

FAILED_FOR = timedelta(minutes=10)  # after this time, a request retries a failed map


def find(session: Session, evaluation_id: UUID, like_id: UUID | None, *, version: str) -> MapRow | None:
    """Find a map by this method, unless it failed a while ago. Its content is loaded on its first use."""
    current = select(MapRow).where(*_of(evaluation_id, like_id), MapRow.version == version)
    return session.scalars(current.where(~_failed_long_ago())).one_or_none()


def make(
    session: Session, evaluation_id: UUID, like_id: UUID | None, *, version: str, team: str | None
) -> MapRow:
    """Make a map, and queue its job at low priority. Maps by other methods are deleted.

    Args:
        session: Of the caller.
        evaluation_id: The evaluation.
        like_id: The evaluation whose map this one begins at.
        version: Version of the method.
        team: The team that asks; workers take turns between teams. None is a reader without a team.
    """
    same = _of(evaluation_id, like_id)
    old = or_(MapRow.version != version, _failed_long_ago())
    session.execute(delete(MapRow).where(*same, old))
    values = {"id": uuid4(), "evaluation_id": evaluation_id, "like_id": like_id, "version": version}
    session.execute(insert(MapRow).values(**values, state=MapState.WAITING).on_conflict_do_nothing())
    made = session.scalars(select(MapRow).where(*same, MapRow.version == version)).one()
    jobs.enqueue(session, JobKind.MAP, team=team, map_id=made.id, priority=jobs.LOW)
    return made


def job_of(session: Session, row: MapRow) -> Job | None:
    """Find the job that draws a map, or drew it."""
    return session.scalars(select(Job).where(Job.map_id == row.id)).one_or_none()


def _of(evaluation_id: UUID, like_id: UUID | None) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    alone = MapRow.like_id.is_(None)
    return MapRow.evaluation_id == evaluation_id, alone if like_id is None else MapRow.like_id == like_id


def _failed_long_ago() -> ColumnElement[bool]:
    return and_(MapRow.state == MapState.FAILED, MapRow.finished_at < NOW - FAILED_FOR)
