"""Shards: which clips are forwarded already or will be, and for which evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Text,
    Uuid,
    any_,
    cast,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, undefer

from records.db import NOW
from records.models import ENDED, Evaluation, Job, JobState, Shard, evaluation_shards
from records.repositories import objects

USABLE = (JobState.QUEUED, JobState.RUNNING, JobState.DONE)


def of(evaluation: Evaluation) -> Select[UUID]:
    """Select the ids of the shards that an evaluation needs."""
    needed = evaluation_shards.c
    return select(needed.shard_id).where(needed.evaluation_id == evaluation.id)


def usable(session: Session, space: str) -> Sequence[UUID]:
    """Ids of the shards of a feature space whose features exist or are being made, the oldest first."""
    query = (
        select(Shard.id)
        .join(Job, Job.shard_id == Shard.id)
        .where(Shard.space == space, Shard.swept_at.is_(None), Job.state.in_(USABLE))
        .order_by(Shard.created_at, Shard.number)
    )
    return session.scalars(query).all()


def clips(session: Session, shard_ids: Sequence[UUID]) -> dict[UUID, str]:
    """The clips of these shards (`Shard.clips`) by the shard's id, each as JSON."""
    rows = session.execute(select(Shard.id, cast(Shard.clips, Text)).where(Shard.id.in_(shard_ids)))
    return {shard_id: text for shard_id, text in rows}


def add(session: Session, evaluation_id: UUID, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert shards for an evaluation that is being planned; `rows` are columns of `Shard`.

    No reader counts a shard before it has a job, and the end of planning queues the jobs.
    """
    objects.about_to_name(session)
    ids = [uuid4() for _ in rows]
    session.execute(insert(Shard), [{"id": one, **row} for one, row in zip(ids, rows, strict=True)])
    link(session, evaluation_id, ids)


def link(session: Session, evaluation_id: UUID, shard_ids: Sequence[UUID]) -> None:
    """Note that an evaluation needs these shards."""
    each = func.unnest(cast(list(shard_ids), ARRAY(Uuid)))
    rows = select(literal(evaluation_id, Uuid), each)
    needed = insert(evaluation_shards).from_select(["evaluation_id", "shard_id"], rows)
    session.execute(needed.on_conflict_do_nothing())


def unplanned(session: Session) -> Sequence[UUID]:
    """Ids of evaluations that ended before their plan did, and left shards without jobs."""
    left = exists().where(evaluation_shards.c.evaluation_id == Evaluation.id, ~_has_job())
    ended = (Evaluation.state.in_(ENDED), Evaluation.num_clips.is_(None))
    return session.scalars(select(Evaluation.id).where(*ended, left)).all()


def forget_unplanned(session: Session, evaluation_id: UUID) -> None:
    """Delete the shards without jobs that an unfinished planning of this evaluation left."""
    left = delete(evaluation_shards).where(evaluation_shards.c.evaluation_id == evaluation_id, ~_has_job())
    ids = session.scalars(left.returning(evaluation_shards.c.shard_id)).all()
    session.execute(delete(Shard).where(Shard.id == any_(cast(ids, ARRAY(Uuid)))))


def unmade(session: Session, evaluation: Evaluation) -> Sequence[tuple[Shard, Job]]:
    """The shards of an evaluation that is done whose features retention deleted, or are being made again."""
    query = (
        select(Shard, Job)
        .join(Job, Job.shard_id == Shard.id)
        .where(Shard.id.in_(of(evaluation)), or_(Shard.swept_at.is_not(None), Job.state != JobState.DONE))
    )
    return [(shard, job) for shard, job in session.execute(query)]


def with_evaluation(session: Session, shard_id: UUID) -> tuple[Shard, Evaluation]:
    """A shard with its clips, and one of the evaluations that need it.

    Any will do: all of them agree on everything that determines features.
    """
    shard = session.get_one(Shard, shard_id, options=[undefer(Shard.clips)])
    query = (
        select(Evaluation)
        .join(evaluation_shards, evaluation_shards.c.evaluation_id == Evaluation.id)
        .where(evaluation_shards.c.shard_id == shard_id)
    )
    return shard, session.scalars(query.limit(1)).one()


def keep_facts(
    session: Session,
    shard_id: UUID,
    *,
    device: str,
    counts: Mapping[str, Any],
    sha256: str,
    size_bytes: int,
) -> None:
    """Keep on which device features were made, what was counted, and their object's hash and size."""
    values = {"device": device, "counts": counts, "sha256": sha256, "size_bytes": size_bytes}
    session.execute(update(Shard).where(Shard.id == shard_id).values(**values, used_at=NOW))


def used(session: Session, evaluation: Evaluation) -> None:
    """Note that the features of an evaluation were used just now."""
    session.execute(update(Shard).where(Shard.id.in_(of(evaluation))).values(used_at=NOW))


def _has_job() -> ColumnElement[bool]:
    return exists().where(Job.shard_id == evaluation_shards.c.shard_id)
