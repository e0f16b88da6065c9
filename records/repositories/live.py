"""Jobs that readers asked for and that no worker has ended: counted, so that nobody asks for too many."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, func, select, union_all
from sqlalchemy.orm import Session

from records.models import Job, JobKind, JobState
from records.repositories import jobs, locks


def lock_name(kind: JobKind, team: str | None) -> str:
    """Name of the lock under which requests count a team's live jobs of a kind and queue one more."""
    return f"vcpbench.live.{kind.value}.{team or jobs.NO_TEAM}"


def count(
    session: Session, kind: JobKind, team: str | None, *which: ColumnElement[bool]
) -> tuple[int, datetime | None]:
    """Count the live jobs of a kind and a team, or `which` of them, and say since when the oldest waits.

    The caller holds the lock, because it queues another one if there is room.
    """
    locks.expect(session, lock_name(kind, team))
    wanted = Job.kind == kind, Job.team == (team or jobs.NO_TEAM), *which
    # A union, because each of the two states has an index of its own. The table holds every job ever made.
    queued, running = (
        select(Job.created_at).where(*wanted, Job.queue == kind.queue, Job.state == state)
        for state in (JobState.QUEUED, JobState.RUNNING)
    )
    either = union_all(queued, running).subquery()
    number, oldest = session.execute(select(func.count(), func.min(either.c.created_at))).one()
    return number, oldest
