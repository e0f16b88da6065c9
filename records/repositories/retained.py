"""What can be made again and is not kept for ever: features, previews, maps of older versions, controls.

Every function here leaves alone what a worker or an evaluation that has not ended needs. `records.retention`
decides how much goes.
"""

from __future__ import annotations

from collections.abc import Collection, Generator
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, delete, exists, false, func, literal, select, update
from sqlalchemy.orm import Session

from records.db import NOW
from records.models import (
    ENDED,
    Checkpoint,
    Evaluation,
    Job,
    JobState,
    MapRow,
    MapState,
    Media,
    MediaState,
    Origin,
    Shard,
    Sweep,
    evaluation_controls,
    evaluation_shards,
)

READ_AT_ONCE = 1000  # rows; whoever stops reading in between closes the generator
LIVE = (JobState.QUEUED, JobState.RUNNING)


class Candidate(NamedTuple):
    """Something that may go.

    Attributes:
        id: Its row.
        size_bytes: Size of its object, 0 if unknown.
        is_old: Whether it was not used for so long that it goes even if there is room.
    """

    id: UUID
    size_bytes: int
    is_old: bool


Candidates = Generator[Candidate, None, None]


def features(session: Session, days: float) -> Candidates:
    """Shards whose features may go, those that were used longest ago first."""
    query = select(Shard.id, func.coalesce(Shard.size_bytes, 0), _older(Shard.used_at, days))
    return _candidates(session, query.where(_may_go()).order_by(Shard.used_at, Shard.id))


def features_bytes(session: Session) -> int:
    """Size of all features that are kept."""
    total = session.scalar(select(func.sum(Shard.size_bytes)).where(Shard.swept_at.is_(None)))
    return int(total or 0)  # PostgreSQL's sum is a decimal


def forget_features(session: Session, shard_ids: Collection[UUID]) -> list[str]:
    """Take the names of features off these rows, unless they are needed again. Return the keys.

    The caller holds the flow's lock. So no evaluation begins to need them meanwhile.
    """
    taken = update(Shard).where(Shard.id.in_(shard_ids), _may_go()).values(swept_at=NOW, sha256=None)
    return list(session.scalars(taken.returning(Shard.key)))


def _may_go() -> ColumnElement[bool]:
    """Whether a shard's features are kept and nobody needs them now."""
    needing = exists().where(
        evaluation_shards.c.shard_id == Shard.id,
        evaluation_shards.c.evaluation_id == Evaluation.id,
        Evaluation.state.not_in(ENDED),
    )
    drawing = exists().where(
        evaluation_shards.c.shard_id == Shard.id,
        evaluation_shards.c.evaluation_id == MapRow.evaluation_id,
        MapRow.state == MapState.WAITING,
    )
    making = exists().where(Job.shard_id == Shard.id, Job.state.in_(LIVE))
    planned = exists().where(Job.shard_id == Shard.id)  # before that, its plan is being made
    return and_(Shard.swept_at.is_(None), planned, ~making, ~needing, ~drawing)


def previews(session: Session, days: float) -> Candidates:
    """Groups of previews that may go, those that were looked at longest ago first."""
    query = select(Media.id, func.coalesce(Media.size_bytes, 0), _older(Media.used_at, days))
    ended = Media.state != MediaState.MAKING
    return _candidates(session, query.where(ended).order_by(Media.used_at, Media.id))


def previews_bytes(session: Session) -> int:
    """Size of all previews that are kept."""
    return int(session.scalar(select(func.sum(Media.size_bytes))) or 0)


def forget_previews(session: Session, media_ids: Collection[UUID]) -> list[str]:
    """Delete the rows of these previews. Return the hashes of their objects.

    The caller holds the flow's lock: a worker that ends a job locks rows in another order.
    """
    gone = delete(Media).where(Media.id.in_(media_ids), Media.state != MediaState.MAKING)
    return [sha256 for sha256 in session.scalars(gone.returning(Media.sha256)) if sha256 is not None]


def old_maps(session: Session, days: float, *, version: str) -> Candidates:
    """Maps by other versions of the method. They are rows without objects."""
    size = func.coalesce(func.pg_column_size(MapRow.content), 0)
    query = select(MapRow.id, size, _older(_ended_at(), days))
    return _candidates(session, query.where(MapRow.version != version).order_by(_ended_at(), MapRow.id))


def forget_maps(session: Session, map_ids: Collection[UUID]) -> None:
    """Delete maps. The caller holds the flow's lock."""
    session.execute(delete(MapRow).where(MapRow.id.in_(map_ids)))


def _ended_at() -> ColumnElement[object]:
    return func.coalesce(MapRow.finished_at, MapRow.created_at)


def unneeded_controls(session: Session, days: float) -> Candidates:
    """Evaluations of random weights and pixels that no evaluation needs any more."""
    needed = exists().where(evaluation_controls.c.control_id == Evaluation.id)
    query = select(Evaluation.id, literal(0), _older(Evaluation.finished_at, days))
    ended = (Evaluation.is_control, Evaluation.state.in_(ENDED), ~needed)
    return _candidates(session, query.where(*ended).order_by(Evaluation.finished_at, Evaluation.id))


def are_unneeded(session: Session, evaluation_ids: Collection[UUID]) -> list[UUID]:
    """Those of these controls that still no evaluation needs. The caller holds the flow's lock."""
    needed = exists().where(evaluation_controls.c.control_id == Evaluation.id)
    return list(session.scalars(select(Evaluation.id).where(Evaluation.id.in_(evaluation_ids), ~needed)))


def forget_control_weights(session: Session) -> int:
    """Delete controls that have no evaluation any more, and return their number.

    The caller holds the flow's lock. So no plan is about to evaluate them.
    """
    evaluated = exists().where(Evaluation.checkpoint_id == Checkpoint.id)
    forwarded = exists().where(Shard.checkpoint_id == Checkpoint.id)
    gone = delete(Checkpoint).where(Checkpoint.origin == Origin.CONTROL, ~evaluated, ~forwarded)
    return len(session.scalars(gone.returning(Checkpoint.id)).all())


def _candidates(session: Session, query: Select[UUID, int, bool]) -> Candidates:
    with session.execute(query, execution_options={"yield_per": READ_AT_ONCE}) as rows:
        yield from (Candidate(*row) for row in rows)


def _older(moment: Any, days: float) -> ColumnElement[bool]:
    """Whether a moment is more than so many days ago; never, if `days` is 0."""
    return moment < NOW - timedelta(days=days) if days else false()


def swept_within(session: Session, seconds: float) -> bool:
    """Whether a whole sweep ended within so many seconds."""
    lately = select(exists().where(Sweep.created_at > NOW - timedelta(seconds=seconds)))
    return bool(session.scalar(lately))


def note_sweep(session: Session) -> None:
    """Note that a whole sweep has ended now."""
    session.execute(delete(Sweep))
    session.add(Sweep())
