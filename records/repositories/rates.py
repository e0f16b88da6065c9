"""How long the pieces of the last evaluations took: shards, and scorings.

Only the newest evaluations are looked at, so the statements take the same time however many there are.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Float, Select, and_, cast, extract, func, select
from sqlalchemy.orm import Session

from records.models import (
    Checkpoint,
    DatasetRow,
    Evaluation,
    EvaluationState,
    Job,
    JobKind,
    JobState,
    Origin,
    ProtocolRow,
    Shard,
    evaluation_shards,
)
from records.repositories.visibility import Visibility

NEWEST = 1000  # finished evaluations, of any backbone, among which those of one backbone are looked for
EVALUATIONS, SHARDS = 8, 200  # most evaluations and shards that rates are taken from


class ShardTime(NamedTuple):
    """How long one shard took.

    Attributes:
        device: The device, in words.
        counts: As in `Shard`: frames, clips, seconds.
        job_s: Seconds of the job.
    """

    device: str
    counts: dict[str, Any]
    job_s: float


class ScoreTime(NamedTuple):
    """How long one evaluation was scored.

    Attributes:
        protocol_hash: Its protocol.
        num_clips: Its clips.
        job_s: Seconds of its jobs, added up.
    """

    protocol_hash: str
    num_clips: int
    job_s: float


def last_of(
    session: Session,
    visible: Visibility,
    backbone: str,
    variant: str | None,
    input_spec: str | None,
    precision: str,
) -> list[UUID]:
    """The last finished evaluations of a backbone, random weights included.

    Args:
        session: Of the caller.
        visible: What the reader sees.
        backbone: The backbone's name.
        variant: Its form, as declared; None for the usual one.
        input_spec: Its input, as declared; None for its own.
        precision: Precision of the network, as in the protocol.
    """
    alike = and_(
        Checkpoint.backbone == backbone,
        Checkpoint.variant.is_not_distinct_from(variant),
        Checkpoint.input_spec.is_not_distinct_from(input_spec),
    )
    return _ids(session, visible, precision, alike, ~_is_pixels())


def last_of_pixels(session: Session, visible: Visibility, precision: str) -> list[UUID]:
    """The last finished evaluations of the pixel baseline, on clips of any kind."""
    return _ids(session, visible, precision, _is_pixels())


def _is_pixels() -> ColumnElement[bool]:
    return and_(Checkpoint.origin == Origin.CONTROL, Checkpoint.seed.is_(None))


def _ids(session: Session, visible: Visibility, precision: str, *wanted: ColumnElement[bool]) -> list[UUID]:
    newest = (
        select(Evaluation.id, Evaluation.checkpoint_id, Evaluation.protocol_hash, Evaluation.created_at)
        .where(Evaluation.state == EvaluationState.DONE, visible.all_evaluations())
        .order_by(Evaluation.created_at.desc())
        .limit(NEWEST)
        .subquery()
    )
    query = (
        select(newest.c.id)
        .join(Checkpoint, Checkpoint.id == newest.c.checkpoint_id)
        .join(ProtocolRow, ProtocolRow.hash == newest.c.protocol_hash)
        .where(ProtocolRow.content["precision"].as_string() == precision, *wanted)
    )
    return list(session.scalars(query.order_by(newest.c.created_at.desc()).limit(EVALUATIONS)))


def shard_times(session: Session, evaluation_ids: Collection[UUID]) -> list[ShardTime]:
    """Times of shards that these evaluations needed, of those whose first attempt went well."""
    query = (
        _done(select(Shard.device, Shard.counts, _seconds()))
        .join(Shard, Shard.id == Job.shard_id)
        .join(evaluation_shards, evaluation_shards.c.shard_id == Shard.id)
        .where(
            evaluation_shards.c.evaluation_id.in_(evaluation_ids),
            Shard.counts.is_not(None),
            Shard.device.is_not(None),
            _trouble() == 0,
        )
        .limit(SHARDS)
    )
    return [ShardTime(*row) for row in session.execute(query)]


def score_times(session: Session, evaluation_ids: Collection[UUID]) -> list[ScoreTime]:
    """Times of the scorings of these evaluations, of those whose first attempts went well.

    Workers may have shared the fits of one. Their times are added up.
    """
    query = (
        _done(select(Evaluation.protocol_hash, Evaluation.num_clips, func.sum(_seconds())))
        .join(Evaluation, Evaluation.id == Job.evaluation_id)
        .where(
            Job.kind.in_((JobKind.FIT, JobKind.SCORE)),
            Evaluation.id.in_(evaluation_ids),
            Evaluation.num_clips.is_not(None),
        )
        .group_by(Evaluation.id)
        .having(func.sum(_trouble()) == 0)
    )
    return [ScoreTime(*row) for row in session.execute(query)]


def _trouble() -> ColumnElement[int]:
    """Attempts that did not go well."""
    return Job.crashes + Job.outages + Job.losses


def _done(query: Select[Any]) -> Select[Any]:
    return query.select_from(Job).where(
        Job.state == JobState.DONE,
        Job.started_at.is_not(None),
        Job.finished_at.is_not(None),
    )


def _seconds() -> Any:
    return cast(extract("epoch", Job.finished_at - Job.started_at), Float)


def controls_there(
    session: Session, visible: Visibility, fingerprint: str, protocol_hash: str, engine: str
) -> Sequence[Checkpoint]:
    """The controls that are done and that a reader sees: random weights, and pixels, which have no seed."""
    query = (
        select(Checkpoint)
        .join(Evaluation, Evaluation.checkpoint_id == Checkpoint.id)
        .join(DatasetRow, DatasetRow.id == Evaluation.dataset_id)
        .where(
            visible.controls(),
            Evaluation.state == EvaluationState.DONE,
            Evaluation.protocol_hash == protocol_hash,
            Evaluation.engine == engine,
            DatasetRow.fingerprint == fingerprint,
        )
    )
    return session.scalars(query).all()
