"""Who works, and what waits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from records.jobs import NOW
from records.models import Job, JobState, Worker

SEEN_S = 30.0  # a worker that was not seen for so long counts as gone


def seen(session: Session, within_s: float = SEEN_S) -> Sequence[Worker]:
    """Workers that are there."""
    since = NOW - timedelta(seconds=within_s)
    return session.scalars(select(Worker).where(Worker.seen_at > since).order_by(Worker.created_at)).all()


def job_counts(session: Session) -> dict[tuple[str, JobState], int]:
    """Jobs by queue and state, as far as they have not ended."""
    live = (JobState.QUEUED, JobState.RUNNING)
    rows = session.execute(
        select(Job.queue, Job.state, func.count()).where(Job.state.in_(live)).group_by(Job.queue, Job.state)
    )
    return {(queue, state): number for queue, state, number in rows}
