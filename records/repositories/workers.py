"""Workers that were seen lately, and the numbers of jobs that wait for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from records.db import NOW
from records.models import Job, JobState, Worker
from records.repositories import pauses
from records.repositories.turns import claimable

SEEN_S = 30.0  # a worker that was not seen for so long counts as gone


def seen(session: Session, within_s: float = SEEN_S) -> Sequence[Worker]:
    """Workers that were seen lately."""
    since = NOW - timedelta(seconds=within_s)
    return session.scalars(select(Worker).where(Worker.seen_at > since).order_by(Worker.created_at)).all()


def idle(session: Session) -> Sequence[Worker]:
    """Workers that were seen lately and have no job."""
    since = NOW - timedelta(seconds=SEEN_S)
    return session.scalars(select(Worker).where(Worker.job_id.is_(None), Worker.seen_at > since)).all()


@dataclass(frozen=True, kw_only=True)
class WorkerReport:
    """What a worker reports of itself.

    Attributes:
        id: Its id.
        name: Host and process id.
        queues: The queues that it takes jobs from.
        device: Name of the device that networks run on.
        lacking_walls: Walls around foreign files that its machine lacks, with the reason of each.
    """

    id: UUID
    name: str
    queues: Sequence[str]
    device: str
    lacking_walls: Mapping[str, str] = field(default_factory=dict)


def report(session: Session, report: WorkerReport, *, job_id: UUID | None = None) -> None:
    """Note that a worker is alive, and which job it does. Add its row again if `forget_silent` removed it."""
    row = {**vars(report), "queues": list(report.queues), "lacking_walls": dict(report.lacking_walls)}
    now = {"seen_at": NOW, "job_id": job_id}
    wanted = insert(Worker).values(**row, **now)
    session.execute(wanted.on_conflict_do_update(index_elements=[Worker.id], set_=now))


def drain(session: Session, worker_id: UUID, by: str | None) -> Worker | None:
    """Let a worker claim no more jobs, and end after the one that it does; None if it has ended.

    The caller holds the lock of `pauses.lock`, so no claim is under way.

    Args:
        session: Of the caller.
        worker_id: The worker.
        by: Name of the token that asks for it; None to let the worker go on.
    """
    pauses.expect_lock(session)
    since = None if by is None else func.coalesce(Worker.draining_since, NOW)
    drained = update(Worker).where(Worker.id == worker_id).values(draining_since=since, drained_by=by)
    return session.scalars(
        drained.returning(Worker), execution_options={"populate_existing": True}
    ).one_or_none()


def is_draining(session: Session, worker_id: UUID) -> bool:
    """Whether the worker is to end after its job."""
    drains = Worker.id == worker_id, Worker.draining_since.is_not(None)
    return bool(session.scalar(select(exists().where(*drains))))


def is_drained(session: Session, worker_id: UUID) -> bool:
    """Whether the worker is to end, and has no job any more. Then it never gets another."""
    busy = Job.worker_id == worker_id, Job.state == JobState.RUNNING
    return is_draining(session, worker_id) and not session.scalar(select(exists().where(*busy)))


def remove(session: Session, worker_id: UUID) -> None:
    """Remove a worker from the table."""
    session.execute(delete(Worker).where(Worker.id == worker_id))


def forget_silent(session: Session, after_s: float) -> None:
    """Remove the workers that were not seen for `after_s` seconds."""
    session.execute(delete(Worker).where(Worker.seen_at < NOW - timedelta(seconds=after_s)))


def oldest_waiting_s(session: Session) -> dict[str, float]:
    """The age of the oldest request with a waiting job, in seconds, by queue."""
    age_s = func.extract("epoch", NOW - func.min(Job.asked_at))
    rows = session.execute(select(Job.queue, age_s).where(claimable()).group_by(Job.queue))
    return {queue: float(seconds) for queue, seconds in rows}


def job_counts(session: Session) -> dict[tuple[str, JobState], int]:
    """Number of queued and running jobs, by queue and state."""
    live = (JobState.QUEUED, JobState.RUNNING)
    rows = session.execute(
        select(Job.queue, Job.state, func.count()).where(Job.state.in_(live)).group_by(Job.queue, Job.state)
    )
    return {(queue, state): number for queue, state, number in rows}
