"""Evaluations: lists, progress, results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session, undefer

from records.models import (
    BenchmarkRow,
    Checkpoint,
    DatasetRow,
    Evaluation,
    EvaluationState,
    Job,
    JobState,
    Model,
    ProtocolRow,
    ScoreRow,
    Shard,
    evaluation_shards,
)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far an evaluation is, its controls included.

    Attributes:
        clips_done: Clips whose features are there.
        clips_total: Clips in all, as far as is known.
        clips_fresh: Those of `clips_done` that were forwarded since this evaluation began.
    """

    clips_done: int = 0
    clips_total: int = 0
    clips_fresh: int = 0


def get(session: Session, evaluation_id: UUID, *, with_results: bool = False) -> Evaluation | None:
    """An evaluation."""
    options = [undefer(Evaluation.results)] if with_results else []
    return session.get(Evaluation, evaluation_id, options=options)


def between(session: Session, low: UUID, high: UUID, limit: int) -> Sequence[Evaluation]:
    """Evaluations whose ids lie in this range, in the order of their ids."""
    query = select(Evaluation).where(Evaluation.id.between(low, high)).order_by(Evaluation.id)
    return session.scalars(query.limit(limit)).unique().all()


def newest_of(session: Session, checkpoint_id: UUID) -> UUID | None:
    """The id of the newest evaluation of a checkpoint."""
    query = select(Evaluation.id).where(Evaluation.checkpoint_id == checkpoint_id)
    return session.scalars(query.order_by(Evaluation.created_at.desc(), Evaluation.id).limit(1)).one_or_none()


def these(session: Session, evaluation_ids: Sequence[UUID]) -> list[Evaluation]:
    """These evaluations, in this order."""
    query = select(Evaluation).where(Evaluation.id.in_(evaluation_ids))
    found = {row.id: row for row in session.scalars(query).unique()}
    return [found[evaluation_id] for evaluation_id in evaluation_ids]


def page(
    session: Session,
    *,
    state: EvaluationState | None,
    model: str | None,
    team: str | None,
    dataset: str | None,
    protocol: str | None,
    checkpoint_id: UUID | None,
    limit: int,
    offset: int,
) -> tuple[Sequence[Evaluation], int]:
    """Evaluations of uploaded checkpoints, newest first, and how many there are.

    Args:
        session: Of the caller.
        state: Only in this state.
        model: Only of this model.
        team: Only of this team.
        dataset: Only on this one, by its name (which may have been given to other videos since) or its
            fingerprint.
        protocol: Only under this one, by its name or hash.
        checkpoint_id: Only of this checkpoint.
        limit: Rows of a page.
        offset: Rows before it.
    """
    query: Select[Any] = (
        select(Evaluation)
        .join(Checkpoint, Evaluation.checkpoint_id == Checkpoint.id)
        .join(Model, Checkpoint.model_id == Model.id)
        .join(DatasetRow, Evaluation.dataset_id == DatasetRow.id)
        .join(ProtocolRow, Evaluation.protocol_hash == ProtocolRow.hash)
        .where(Evaluation.is_control.is_(False))
    )
    wanted = {
        Evaluation.state: state,
        Model.name: model,
        Model.team: team,
        Checkpoint.id: checkpoint_id,
    }
    for column, value in wanted.items():
        if value is not None:
            query = query.where(column == value)
    if dataset is not None:
        query = query.where(or_(DatasetRow.name == dataset, DatasetRow.fingerprint == dataset))
    if protocol is not None:
        query = query.where(or_(ProtocolRow.name == protocol, ProtocolRow.hash == protocol))
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    ordered = query.order_by(Evaluation.created_at.desc(), Evaluation.id)
    return session.scalars(ordered.limit(limit).offset(offset)).unique().all(), total


def progress(session: Session, evaluation: Evaluation) -> Progress:
    """How far it is."""
    everyone = [evaluation.id, *(control.id for control in evaluation.controls)]
    shards = (
        select(Shard.id)
        .join(evaluation_shards, evaluation_shards.c.shard_id == Shard.id)
        .where(evaluation_shards.c.evaluation_id.in_(everyone))
        .distinct()
        .scalar_subquery()
    )
    rows = session.execute(
        select(Shard.num_clips, Job.state, Job.done, Job.finished_at)
        .join(Job, Job.shard_id == Shard.id)
        .where(Shard.id.in_(shards))
    ).all()
    done = fresh = total = 0
    for num_clips, state, job_done, finished_at in rows:
        total += num_clips
        here = num_clips if state is JobState.DONE else job_done if state is JobState.RUNNING else 0
        done += here
        began = evaluation.started_at
        if began and (state is JobState.RUNNING or (finished_at and finished_at > began)):
            fresh += here
    if evaluation.num_clips:  # a control that is not planned yet will need as many
        total += sum(evaluation.num_clips for control in evaluation.controls if control.num_clips is None)
    return Progress(clips_done=done, clips_total=total, clips_fresh=fresh)


def scores(session: Session, evaluation_ids: Sequence[UUID]) -> Mapping[UUID, list[ScoreRow]]:
    """Scores by evaluation."""
    found: dict[UUID, list[ScoreRow]] = {evaluation_id: [] for evaluation_id in evaluation_ids}
    wanted = select(ScoreRow).where(ScoreRow.evaluation_id.in_(evaluation_ids))
    for row in session.scalars(wanted.order_by(ScoreRow.metric)):
        found[row.evaluation_id].append(row)
    return found


def predictions(session: Session, evaluation_id: UUID) -> dict[str, dict[str, Any]]:
    """Per-video outcomes, by benchmark."""
    rows = session.scalars(select(BenchmarkRow).where(BenchmarkRow.evaluation_id == evaluation_id))
    return {row.benchmark: row.predictions for row in rows}


def fits(session: Session, evaluation_id: UUID) -> list[tuple[str, dict[str, Any]]]:
    """How the probes were fitted (`vcp_core.results.Fit`), by benchmark; the answers stay where they are."""
    rows = session.execute(
        select(BenchmarkRow.benchmark, BenchmarkRow.predictions["fits"])
        .where(BenchmarkRow.evaluation_id == evaluation_id)
        .order_by(BenchmarkRow.benchmark)
    )
    return [(benchmark, fit) for benchmark, found in rows for fit in found or ()]
