"""The queue as one evaluation sees it: its next jobs, and the jobs in front of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, exists, func, or_, select
from sqlalchemy.orm import Session

from records.db import NOW
from records.models import (
    ENDED,
    Evaluation,
    EvaluationState,
    Job,
    JobKind,
    JobState,
    Worker,
    evaluation_controls,
    evaluation_shards,
)
from records.repositories import jobs
from records.repositories.turns import claimable
from records.repositories.visibility import Visibility
from records.repositories.workers import SEEN_S

FOR_READERS = (JobKind.COMPARE, JobKind.MAP, JobKind.MEDIA)  # of evaluations that are done


@dataclass(frozen=True, kw_only=True)
class Next:
    """A job that an evaluation needs now.

    Attributes:
        job: The job.
        running: Whether a worker that was seen lately is doing it.
        now: The time, by the database.
    """

    job: Job
    running: bool
    now: datetime

    @property
    def silent(self) -> bool:
        """Whether the worker that claimed the job has not been seen lately."""
        return self.job.state is JobState.RUNNING and not self.running


def next_jobs(session: Session, evaluation: Evaluation) -> list[Next]:
    """For each queue, the job that the evaluation needs first. Running jobs come before queued ones."""
    return _first_of_each_queue(session, _needed(evaluation))


def next_of_comparison(session: Session, comparison_id: UUID) -> list[Next]:
    """The job of a comparison, unless the job has ended."""
    return _first_of_each_queue(session, Job.comparison_id == comparison_id)


def next_of_map(session: Session, map_id: UUID) -> list[Next]:
    """The job of a map, unless the job has ended."""
    return _first_of_each_queue(session, Job.map_id == map_id)


def _first_of_each_queue(session: Session, needed: ColumnElement[bool]) -> list[Next]:
    since = NOW - timedelta(seconds=SEEN_S)
    seen = exists().where(Worker.id == Job.worker_id, Worker.seen_at > since)
    running = and_(Job.state == JobState.RUNNING, or_(Job.worker_id.is_(None), seen))
    queued = Job.state == JobState.QUEUED
    rank = case((running, 0), (claimable(), 1), (queued, 2), else_=3)
    last = case(
        (Job.kind == JobKind.EXTRACT, 0), else_=1
    )  # of several running jobs, extraction takes longest
    first = (rank, case((running, last), else_=0), Job.asked_at, Job.created_at, Job.id)
    position = func.row_number().over(partition_by=Job.queue, order_by=first)
    live = (
        select(Job.id, running.label("running"), position.label("position"))
        .where(Job.state.in_((JobState.QUEUED, JobState.RUNNING)), needed)
        .subquery()
    )
    rows = session.execute(
        select(Job, live.c.running, NOW).join(live, live.c.id == Job.id).where(live.c.position == 1)
    )
    found = [Next(job=job, running=is_running, now=now) for job, is_running, now in rows]
    return sorted(found, key=lambda one: (not one.running, one.job.asked_at, one.job.created_at, one.job.id))


def _needed(evaluation: Evaluation) -> ColumnElement[bool]:
    """Jobs whose end moves the evaluation out of its state."""
    if evaluation.state is EvaluationState.WAITING:
        return or_(Job.checkpoint_id == evaluation.checkpoint_id, Job.dataset_id == evaluation.dataset_id)
    if evaluation.state is not EvaluationState.RUNNING:
        return Job.evaluation_id == evaluation.id
    controls = [one for one in evaluation.controls if not one.state.ended]
    everyone = [evaluation.id, *(one.id for one in controls)]
    return Job.id.in_(jobs.needed_by(everyone, checkpoint_ids=[one.checkpoint_id for one in controls]))


def in_work(session: Session, workers: Sequence[Worker]) -> Sequence[Job]:
    """The jobs that these workers are doing, the first begun first."""
    ids = [worker.id for worker in workers]
    query = select(Job).where(Job.state == JobState.RUNNING, Job.worker_id.in_(ids))
    return session.scalars(query.order_by(Job.started_at)).all()


class WaitingEvaluation(NamedTuple):
    """What callers need of it. Each claim asks, and the whole row would load five tables."""

    id: UUID
    team: str


def done_for(session: Session, job: Job, visible: Visibility) -> WaitingEvaluation | None:
    """The first evaluation that waits for a job. For a job of a control, the first that needs the control.

    None if the reader sees no such evaluation, and for what readers ask for when evaluations are done.
    """
    facts = select(Evaluation.id, Evaluation.team, Evaluation.is_control)
    live = facts.where(Evaluation.state.not_in(ENDED), visible.evaluations())
    query = live
    if job.kind is JobKind.EXTRACT:
        of_shard = select(evaluation_shards.c.evaluation_id).where(
            evaluation_shards.c.shard_id == job.shard_id
        )
        query = query.where(Evaluation.id.in_(of_shard))
    elif job.kind in FOR_READERS:
        return None
    elif job.evaluation_id is not None:
        query = query.where(Evaluation.id == job.evaluation_id)
    elif job.dataset_id is not None:
        query = query.where(Evaluation.dataset_id == job.dataset_id)
    else:
        query = query.where(Evaluation.checkpoint_id == job.checkpoint_id)
    first = (Evaluation.is_control, Evaluation.created_at)
    found = session.execute(query.order_by(*first).limit(1)).one_or_none()
    if found is not None and found.is_control:
        needing = live.join(evaluation_controls, evaluation_controls.c.evaluation_id == Evaluation.id)
        parents = needing.where(evaluation_controls.c.control_id == found.id)
        found = session.execute(parents.order_by(Evaluation.created_at).limit(1)).one_or_none()
    return None if found is None else WaitingEvaluation(found.id, found.team)
