"""Every job as operators see it: listed, queued again with fresh attempts, cancelled, and purged."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, delete, exists, func, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from records.db import NOW
from records.models import (
    ENDED,
    Checkpoint,
    Comparison,
    DatasetRow,
    Evaluation,
    EvaluationState,
    Job,
    JobKind,
    JobState,
    MapRow,
    Media,
    Model,
    Origin,
    Shard,
    Worker,
    evaluation_controls,
    evaluation_shards,
)
from records.repositories import jobs, turns
from vcp_core.catalog.errors import VcpbenchError

Kind = Literal["job", "evaluation", "checkpoint"]
LIVE = (JobState.QUEUED, JobState.RUNNING)
OVER = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)
AGAIN = (JobState.QUEUED, JobState.FAILED, JobState.CANCELLED)  # of jobs that may get fresh attempts
PURGED_AT_ONCE = 5000  # rows in one transaction
_LOGGED: tuple[type[Job] | type[Evaluation], ...] = (Job, Evaluation)
_IN_PLACE = (JobKind.INGEST, JobKind.CALIBRATE, JobKind.INDEX, JobKind.COMPARE, JobKind.MEDIA, JobKind.MAP)
_OF_EVALUATION = (JobKind.PLAN, JobKind.FIT, JobKind.SCORE)


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A job, and what it is about.

    Attributes:
        job: The job.
        evaluation_id: The evaluation that it is about; None for jobs of a checkpoint, a dataset or shard.
        checkpoint_id: The checkpoint.
        model: `TEAM/MODEL` of an upload.
        seed: Seed of random weights.
        dataset: Name of the dataset.
        worker: Name of the worker that claimed it last, while its row is there.
        age_s: Seconds since its evaluation or upload was asked for.
        paused: Whether an administrator paused its queue or kind.
    """

    job: Job
    evaluation_id: UUID | None
    checkpoint_id: UUID | None
    model: str | None
    seed: int | None
    dataset: str | None
    worker: str | None
    age_s: float
    paused: bool


def page(
    session: Session,
    *,
    states: Collection[JobState],
    queue: str | None = None,
    kind: JobKind | None = None,
    team: str | None = None,
    limit: int,
    offset: int = 0,
) -> tuple[list[Listed], int]:
    """Jobs in these states, and how many there are. Running ones come first, then those that wait.

    Jobs that wait stand by priority and age. Jobs that ended come last, the newest first.
    """
    wanted: list[ColumnElement[bool]] = [Job.state.in_(states)]
    wanted += [] if queue is None else [Job.queue == queue]
    wanted += [] if kind is None else [Job.kind == kind]
    wanted += [] if team is None else [Job.team == team]
    total = session.scalar(select(func.count()).select_from(Job).where(*wanted)) or 0
    group = case((Job.state == JobState.RUNNING, 0), (Job.state == JobState.QUEUED, 1), else_=2)
    ended_at = case((Job.state.in_(OVER), Job.finished_at))
    order = (group, ended_at.desc(), Job.priority.desc(), Job.asked_at, Job.created_at, Job.id)
    ids = session.scalars(select(Job.id).where(*wanted).order_by(*order).limit(limit).offset(offset)).all()
    return listed(session, ids), total


def listed(session: Session, job_ids: Sequence[UUID]) -> list[Listed]:
    """These jobs, in this order, with what they are about."""
    evaluation_id = func.coalesce(Job.evaluation_id, Comparison.first_id, MapRow.evaluation_id)
    checkpoint_id = func.coalesce(Job.checkpoint_id, Evaluation.checkpoint_id, Shard.checkpoint_id)
    dataset_id = func.coalesce(Job.dataset_id, Evaluation.dataset_id, Shard.dataset_id, Media.dataset_id)
    age_s = func.extract("epoch", NOW - Job.asked_at)
    query = (
        select(
            Job,
            evaluation_id,
            checkpoint_id,
            Model.team + "/" + Model.name,
            Checkpoint.seed,
            DatasetRow.name,
            Worker.name,
            age_s,
            turns.paused(),
        )
        .outerjoin(Shard, Shard.id == Job.shard_id)
        .outerjoin(Comparison, Comparison.id == Job.comparison_id)
        .outerjoin(MapRow, MapRow.id == Job.map_id)
        .outerjoin(Media, Media.id == Job.media_id)
        .outerjoin(Evaluation, Evaluation.id == evaluation_id)
        .outerjoin(Checkpoint, Checkpoint.id == checkpoint_id)
        .outerjoin(Model, Model.id == Checkpoint.model_id)
        .outerjoin(DatasetRow, DatasetRow.id == dataset_id)
        .outerjoin(Worker, Worker.id == Job.worker_id)
        .where(Job.id.in_(job_ids))
        .execution_options(populate_existing=True)
    )
    names = list(Listed.__dataclass_fields__)
    rows: Iterable[Any] = session.execute(query)
    found = [Listed(**dict(zip(names, row, strict=True))) for row in rows]
    place = {job_id: number for number, job_id in enumerate(job_ids)}
    return sorted(found, key=lambda one: place[one.job.id])


def begun(session: Session, low: UUID, high: UUID, limit: int) -> list[tuple[Kind, UUID]]:
    """Jobs, evaluations and uploads whose ids lie in this range: which of the three it is, and the id."""
    ranges: dict[Kind, InstrumentedAttribute[UUID]] = {
        "job": Job.id,
        "evaluation": Evaluation.id,
        "checkpoint": Checkpoint.id,
    }
    found = list[tuple[Kind, UUID]]()
    for kind, column in ranges.items():
        query = select(column).where(column.between(low, high)).order_by(column).limit(limit)
        if kind == "checkpoint":
            query = query.where(Checkpoint.origin == Origin.UPLOAD)
        found += [(kind, one) for one in session.scalars(query)]
    return found


def job_of(session: Session, checkpoint_id: UUID) -> UUID | None:
    """The id of the job that reads an upload; None if there is none."""
    return session.scalar(
        select(Job.id).where(Job.checkpoint_id == checkpoint_id, Job.kind == JobKind.INGEST)
    )


def again(session: Session, job: Job) -> bool:
    """Let a job wait with fresh attempts. Return False if it runs or is done by now."""
    fresh = {
        "state": JobState.QUEUED,
        **dict.fromkeys(("crashes", "outages", "losses", "done"), 0),
        **dict.fromkeys(("token", "worker_id", "lease_until", "not_before", "error", "log_tail"), None),
        "finished_at": None,
    }
    queued = update(Job).where(Job.id == job.id, Job.state.in_(AGAIN)).values(**fresh)
    if not jobs.num_rows(session, queued):
        return False
    session.refresh(job)
    jobs.wake_up_after_commit(session, job.queue)
    return True


def cancel(session: Session, job: Job, reason: VcpbenchError) -> bool:
    """Cancel a job. Return False if it ended meanwhile. Its worker notices at its next renewal."""
    values = {"state": JobState.CANCELLED, "finished_at": NOW, "error": reason}
    cancelled = update(Job).where(Job.id == job.id, Job.state.in_(LIVE)).values(**values)
    if not jobs.num_rows(session, cancelled):
        return False
    session.refresh(job)
    return True


def needing(session: Session, job: Job, states: Collection[EvaluationState]) -> Sequence[Evaluation]:
    """The evaluations in these states that need a job, by themselves or for a control; the oldest first."""
    if job.shard_id is not None:
        needed = select(evaluation_shards.c.evaluation_id)
        needed = needed.where(evaluation_shards.c.shard_id == job.shard_id)
    else:
        needed = select(Evaluation.id).where(
            or_(
                Evaluation.id == job.evaluation_id,
                Evaluation.checkpoint_id == job.checkpoint_id,
                Evaluation.dataset_id == job.dataset_id,
            )
        )
    parents = select(evaluation_controls.c.evaluation_id)
    parents = parents.where(evaluation_controls.c.control_id.in_(needed))
    query = select(Evaluation).where(
        or_(Evaluation.id.in_(needed), Evaluation.id.in_(parents)),
        Evaluation.state.in_(states),
        ~Evaluation.is_control,
    )
    return session.scalars(query.order_by(Evaluation.created_at)).unique().all()


def live_of(session: Session, checkpoint_id: UUID) -> Sequence[Evaluation]:
    """The evaluations of a checkpoint that have not ended, the oldest first."""
    query = select(Evaluation).where(
        Evaluation.checkpoint_id == checkpoint_id, Evaluation.state.not_in(ENDED)
    )
    return session.scalars(query.order_by(Evaluation.created_at)).unique().all()


def days_ago(session: Session, days: int) -> datetime:
    """The time so many days ago, by the database's clock."""
    found: datetime = session.scalars(select(NOW - timedelta(days=days))).one()
    return found


def purgeable(session: Session, before: datetime) -> tuple[int, int]:
    """How many logs and how many jobs `purge` removes."""
    logs = sum(
        session.scalar(select(func.count()).select_from(kind).where(*_has_old_log(kind, before))) or 0
        for kind in _LOGGED
    )
    rows = session.scalar(select(func.count()).select_from(Job).where(_is_old(before))) or 0
    return logs, rows


def purge(session: Session, before: datetime) -> tuple[int, int]:
    """Remove logs and jobs that ended before this time, at most `PURGED_AT_ONCE` of each.

    Returns:
        How many logs and how many jobs were removed. With (0, 0), nothing is left.
    """
    logs = 0
    for kind in _LOGGED:
        some = select(kind.id).where(*_has_old_log(kind, before)).limit(PURGED_AT_ONCE)
        old = some.with_for_update(skip_locked=True).scalar_subquery()
        logs += jobs.num_rows(session, update(kind).where(kind.id.in_(old)).values(log_tail=None))
    rows = select(Job.id).where(_is_old(before)).limit(PURGED_AT_ONCE)
    gone = delete(Job).where(Job.id.in_(rows.with_for_update(skip_locked=True).scalar_subquery()))
    return logs, jobs.num_rows(session, gone)


def _has_old_log(kind: type[Job] | type[Evaluation], before: datetime) -> tuple[ColumnElement[bool], ...]:
    ended = kind.state.in_(OVER if kind is Job else ENDED)
    return kind.log_tail.is_not(None), ended, kind.finished_at < before


def _is_old(before: datetime) -> ColumnElement[bool]:
    """Whether a job ended before this time, and nothing reads its row any more.

    The row of a shard's job that is done says that its features are there. It stays.
    """
    over = exists().where(Evaluation.id == Job.evaluation_id, Evaluation.state.in_(ENDED))
    wanted = exists().where(
        evaluation_shards.c.shard_id == Job.shard_id,
        evaluation_shards.c.evaluation_id == Evaluation.id,
        Evaluation.state.not_in((EvaluationState.FAILED, EvaluationState.CANCELLED)),
    )
    return and_(
        Job.state.in_(OVER),
        Job.finished_at < before,
        or_(
            Job.kind.in_(_IN_PLACE),
            and_(Job.kind.in_(_OF_EVALUATION), over),
            and_(Job.kind == JobKind.EXTRACT, Job.state != JobState.DONE, ~wanted),
        ),
    )
