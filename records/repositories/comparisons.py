"""Comparisons: one for two evaluations and a version of the rules. many_comparisons.py has those of many."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, and_, delete, exists, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from records.db import NOW
from records.models import Comparison, ComparisonState, Job, JobKind
from records.repositories import jobs
from records.repositories import live as live_jobs

FAILED_FOR = timedelta(minutes=10)  # after this time, a request retries a failed comparison


def find(session: Session, first_id: UUID, second_id: UUID, *, version: str) -> Comparison | None:
    """Find the comparison of two evaluations by these rules, unless it failed a while ago."""
    current = select(Comparison).where(*_of(first_id, second_id), Comparison.version == version)
    return session.scalars(current.where(~failed_long_ago())).one_or_none()


def make(session: Session, first_id: UUID, second_id: UUID, *, version: str, team: str | None) -> Comparison:
    """Make the comparison of two evaluations, and queue a job. Other rules' comparisons are deleted.

    Args:
        session: Of the caller.
        first_id: The evaluation that the second is compared with.
        second_id: The evaluation that is compared.
        version: Version of the rules.
        team: The team that asks; workers take turns between teams. None is a reader without a team.
    """
    pair = _of(first_id, second_id)
    old = or_(Comparison.version != version, failed_long_ago())
    session.execute(delete(Comparison).where(*pair, old))
    values = {"id": uuid4(), "first_id": first_id, "second_id": second_id, "version": version}
    session.execute(
        insert(Comparison).values(**values, state=ComparisonState.WAITING).on_conflict_do_nothing()
    )
    made = session.scalars(select(Comparison).where(*pair, Comparison.version == version)).one()
    jobs.enqueue(session, JobKind.COMPARE, team=team, comparison_id=made.id)
    return made


def live_lock(team: str | None) -> str:
    """Name of the lock under which requests count a team's live comparisons and make one more."""
    return live_jobs.lock_name(JobKind.COMPARE, team)


def live(session: Session, team: str | None, *, many: bool = False) -> tuple[int, datetime | None]:
    """Count the comparisons of a team that no worker has ended yet, and say since when the oldest waits.

    Comparisons of two are counted, or with `many` those of many.

    The caller holds the `live_lock`, because it makes another one if there is room.
    """
    of_many = exists().where(Comparison.id == Job.comparison_id, Comparison.second_id.is_(None))
    return live_jobs.count(session, JobKind.COMPARE, team, of_many if many else ~of_many)


def _of(first_id: UUID, second_id: UUID) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return Comparison.first_id == first_id, Comparison.second_id == second_id


def failed_long_ago() -> ColumnElement[bool]:
    """Whether a comparison failed so long ago that a request retries it."""
    return and_(Comparison.state == ComparisonState.FAILED, Comparison.finished_at < NOW - FAILED_FOR)


def job_of(session: Session, comparison: Comparison) -> Job | None:
    """Find the job that makes a comparison, or made it."""
    return session.scalars(select(Job).where(Job.comparison_id == comparison.id)).one_or_none()
