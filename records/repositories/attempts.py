"""What happened to jobs since an earlier look, and how many there are of each kind."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Executable, Row, func, select, union
from sqlalchemy.orm import Session

from records.db import NOW
from records.models import Job, JobKind, JobState
from records.repositories.turns import claimable

LIVE = (JobState.QUEUED, JobState.RUNNING)
# A job that was claimed just before a look may be committed just after it, and the look then misses it.
OVERLAP = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True)
class Attempted:
    """A job, and what became of its attempts.

    Attributes:
        id: The job.
        kind: Its kind.
        state: Its state.
        started_at: When the last attempt began.
        seconds: How long the last attempt took; None while the job waits or runs.
        failed: How many attempts ended by an error of the job ("crash"), by a store that was full or away
            ("outage"), and because the worker fell silent ("lost").
    """

    id: UUID
    kind: JobKind
    state: JobState
    started_at: datetime | None
    seconds: float | None
    failed: dict[str, int]


_COLUMNS = (
    Job.id,
    Job.kind,
    Job.state,
    Job.started_at,
    func.extract("epoch", Job.finished_at - Job.started_at).label("seconds"),
    Job.crashes,
    Job.outages,
    Job.losses,
)


def now(session: Session) -> datetime:
    """The time, by the database."""
    found: datetime = session.scalars(select(NOW)).one()
    return found


def unlucky(session: Session) -> Iterator[Attempted]:
    """Jobs that wait or run, and of which an attempt failed."""
    failed = Job.crashes + Job.outages + Job.losses > 0
    return _all(session, select(*_COLUMNS).where(Job.state.in_(LIVE), failed))


def since(session: Session, begun: datetime, running: Collection[UUID]) -> Iterator[Attempted]:
    """Jobs that run, that ran at the last look (`running`), or that were claimed since it began.

    No job can end between two looks without being one of them.
    """
    ids = union(  # for OR, PostgreSQL would read the whole table
        select(Job.id).where(Job.state == JobState.RUNNING),
        select(Job.id).where(Job.id.in_(running)),
        select(Job.id).where(Job.started_at > begun - OVERLAP),
    ).subquery()
    return _all(session, select(*_COLUMNS).join(ids, ids.c.id == Job.id))


def live_by_kind(session: Session) -> list[tuple[JobKind, JobState, int, float]]:
    """For each kind and state of the jobs that have not ended: their number, and the oldest's age in seconds.

    The age is that of the request that the job belongs to; 0 if no job can be claimed now.
    """
    oldest = func.extract("epoch", NOW - func.min(Job.asked_at).filter(claimable()))
    rows = session.execute(
        select(Job.kind, Job.state, func.count(), func.coalesce(oldest, 0))
        .where(Job.state.in_(LIVE))
        .group_by(Job.kind, Job.state)
    )
    return [(kind, state, number, float(age_s)) for kind, state, number, age_s in rows]


def _all(session: Session, query: Executable) -> Iterator[Attempted]:
    return map(_attempted, session.execute(query))


def _attempted(row: Row[Any]) -> Attempted:
    return Attempted(
        id=row.id,
        kind=row.kind,
        state=row.state,
        started_at=row.started_at,
        seconds=None if row.seconds is None else float(row.seconds),
        failed={"crash": row.crashes, "outage": row.outages, "lost": row.losses},
    )
