"""Jobs that are done again, because the object that they made was damaged in the store, or was swept."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast
from uuid import UUID

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from records.db import NOW
from records.models import Evaluation, Job, JobKind, JobState, Shard
from records.repositories import jobs, objects
from vcp_core.catalog.errors import VcpbenchError

SWEPT = VcpbenchError("its features were not used for long and were deleted, and are made again")
DAMAGED = VcpbenchError("its features were damaged in the store, and are made again")
TOO_OFTEN = VcpbenchError(
    f"its features were damaged in the store {jobs.MAX_OUTAGES} times: most likely the store's disk is broken"
)
SCORING = (JobKind.FIT, JobKind.SCORE)


def extract_swept(session: Session, shard_ids: Collection[UUID]) -> None:
    """Queue the jobs of shards again whose features retention deleted, or whose jobs were cancelled."""
    objects.about_to_name(session)
    session.execute(update(Shard).where(Shard.id.in_(shard_ids)).values(swept_at=None))
    live = Job.state.in_((JobState.QUEUED, JobState.RUNNING))
    again = update(Job).where(Job.shard_id.in_(shard_ids), ~live)
    values = {"state": JobState.QUEUED, "token": None, "lease_until": None, "not_before": None, "done": 0}
    for queue in session.scalars(again.values(**values, error=SWEPT, finished_at=None).returning(Job.queue)):
        jobs.wake_up_after_commit(session, queue)


def extract_again(session: Session, shard_id: UUID) -> Job | None:
    """Queue the job of a shard again, unless it is queued or running.

    Each time counts as an outage of the store. So a broken disk ends the job after `jobs.MAX_OUTAGES`.

    Returns:
        The job if it failed instead; the caller fails what needs it.
    """
    query = select(Job).where(Job.shard_id == shard_id).with_for_update()
    job = session.scalars(query.execution_options(populate_existing=True)).one()
    if job.state in (JobState.QUEUED, JobState.RUNNING):
        return None
    job.outages += 1
    job.token, job.lease_until, job.not_before, job.done = None, None, None, 0
    failed = job.outages >= jobs.MAX_OUTAGES
    job.state = JobState.FAILED if failed else JobState.QUEUED
    job.error = TOO_OFTEN if failed else DAMAGED
    job.finished_at = cast(Any, NOW) if failed else None
    session.flush()
    if failed:
        return job
    jobs.wake_up_after_commit(session, job.queue)
    return None


def forget_scoring(session: Session, evaluation: Evaluation, *, also: UUID | None = None) -> None:
    """Delete the waiting fit and score jobs of an evaluation, and the job `also`.

    They are queued anew once all features are there. Jobs that run or are done stay, with their results.
    """
    waiting = Job.state == JobState.QUEUED
    session.execute(
        delete(Job).where(
            Job.evaluation_id == evaluation.id,
            Job.kind.in_(SCORING),
            waiting if also is None else or_(waiting, Job.id == also),
        )
    )
