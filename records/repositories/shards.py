"""Shards: which clips are forwarded already or will be, and for which evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session, undefer

from records.models import Evaluation, Job, JobState, Shard, evaluation_shards

USABLE = (JobState.QUEUED, JobState.RUNNING, JobState.DONE)


def usable(session: Session, space: str) -> Sequence[UUID]:
    """Ids of the shards of a feature space whose features exist or are being made, the oldest first."""
    query = (
        select(Shard.id)
        .join(Job, Job.shard_id == Shard.id)
        .where(Shard.space == space, Job.state.in_(USABLE))
        .order_by(Shard.created_at, Shard.number)
    )
    return session.scalars(query).all()


def clips(session: Session, shard_ids: Sequence[UUID]) -> list[tuple[UUID, list[Any]]]:
    """The clips of these shards, by video: `Shard.clips`."""
    rows = session.execute(select(Shard.id, Shard.clips).where(Shard.id.in_(shard_ids)))
    return [(shard_id, found) for shard_id, found in rows]


def these(session: Session, shard_ids: Sequence[UUID]) -> Sequence[Shard]:
    """These shards, in no order."""
    return session.scalars(select(Shard).where(Shard.id.in_(shard_ids))).all()


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


def keep_facts(session: Session, shard_id: UUID, *, device: str, counts: Mapping[str, Any]) -> None:
    """Keep on what device a shard's features were made, and what was counted."""
    session.execute(update(Shard).where(Shard.id == shard_id).values(device=device, counts=counts))
