"""Queue the jobs of a plan: one statement for each kind, however many jobs there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import InstrumentedAttribute, Session

from records.db import NOW
from records.models import Checkpoint, Evaluation, Job, JobKind, JobState, Shard
from records.repositories import shards
from records.repositories.jobs import num_rows, wake_up_after_commit


def enqueue_shards(session: Session, evaluation: Evaluation) -> None:
    """Queue a job for each of an evaluation's shards that has none, in the order of the plan."""
    subjects = select(Shard.id, Shard.number).where(Shard.id.in_(shards.of(evaluation)))
    _enqueue_all(session, JobKind.EXTRACT, Job.shard_id, subjects, evaluation)


def enqueue_calibrations(session: Session, checkpoint_ids: Sequence[UUID], evaluation: Evaluation) -> None:
    """Queue the calibration of random weights that an evaluation needs, in one statement."""
    subjects = select(Checkpoint.id, Checkpoint.seed).where(Checkpoint.id.in_(checkpoint_ids))
    _enqueue_all(session, JobKind.CALIBRATE, Job.checkpoint_id, subjects, evaluation)


def _enqueue_all(
    session: Session,
    kind: JobKind,
    subject: InstrumentedAttribute[UUID | None],
    subjects: Select[Any, Any],
    evaluation: Evaluation,
) -> None:
    """Queue a job about each of these subjects that has none. `subjects` selects ids and an order."""
    constants = {
        "kind": literal(kind, Job.kind.type),
        "queue": literal(kind.queue),
        "team": literal(evaluation.team),
        "state": literal(JobState.QUEUED, Job.state.type),
        "asked_at": literal(evaluation.asked_at, Job.asked_at.type),
        "priority": literal(evaluation.priority),
        **{count: literal(0) for count in ("crashes", "outages", "losses", "done")},
    }
    subject_id, order = subjects.subquery().c
    # clock_timestamp() is later for each row, so workers take the jobs in this order.
    rows = select(func.gen_random_uuid(), subject_id, NOW, *constants.values()).order_by(order, subject_id)
    wanted = insert(Job).from_select(["id", subject.key, "created_at", *constants], rows)
    if number := num_rows(session, wanted.on_conflict_do_nothing()):
        wake_up_after_commit(session, kind.queue, number)
