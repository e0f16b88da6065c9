"""Comparisons: one for two evaluations and a version of the rules."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import delete, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from records.db import NOW
from records.models import Comparison, ComparisonState, Job, JobKind
from records.repositories import jobs

FAILED_FOR = timedelta(minutes=10)  # after this time, a request retries a failed comparison


def ask(session: Session, first_id: UUID, second_id: UUID, *, version: str, team: str | None) -> Comparison:
    """Find the comparison of two evaluations, or make it and queue a job.

    Args:
        session: Of the caller.
        first_id: The evaluation that the second is compared with.
        second_id: The evaluation that is compared.
        version: Version of the rules. Comparisons by other rules are deleted.
        team: The team that asks; workers take turns between teams. None is a reader without a team.
    """
    pair = Comparison.first_id == first_id, Comparison.second_id == second_id
    current = select(Comparison).where(*pair, Comparison.version == version)
    failed_long_ago = (Comparison.state == ComparisonState.FAILED) & (
        Comparison.finished_at < NOW - FAILED_FOR
    )
    found = session.scalars(current.where(~failed_long_ago)).one_or_none()
    if found is not None:
        return found
    session.execute(delete(Comparison).where(*pair, or_(Comparison.version != version, failed_long_ago)))
    values = {"id": uuid4(), "first_id": first_id, "second_id": second_id, "version": version}
    session.execute(
        insert(Comparison).values(**values, state=ComparisonState.WAITING).on_conflict_do_nothing()
    )
    made = session.scalars(current).one()
    jobs.enqueue(session, JobKind.COMPARE, team=team, comparison_id=made.id)
    return made


def job_of(session: Session, comparison: Comparison) -> Job | None:
    """Find the job that makes a comparison, or made it."""
    return session.scalars(select(Job).where(Job.comparison_id == comparison.id)).one_or_none()
