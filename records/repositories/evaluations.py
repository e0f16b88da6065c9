"""Evaluations: lists and results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    Model,
    ProtocolRow,
    ScoreRow,
)
from vcp_core.catalog import versions


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


def by_other_engines(
    session: Session, fingerprint: str, protocol_hash: str, *, engine: str | None
) -> list[UUID]:
    """The newest finished evaluation of each uploaded checkpoint that other engines made, the oldest first.

    Args:
        session: Of the caller.
        fingerprint: Of the videos.
        protocol_hash: By which numbers.
        engine: Only by this one; None is all but the current.
    """
    made_by = Evaluation.engine == engine if engine else Evaluation.engine != versions.engine()
    order = (Evaluation.created_at.desc(), Evaluation.id)
    place = func.row_number().over(partition_by=Evaluation.checkpoint_id, order_by=order).label("place")
    query = (
        select(Evaluation.id, Evaluation.created_at, place)
        .join(DatasetRow, DatasetRow.id == Evaluation.dataset_id)
        .where(
            Evaluation.is_control.is_(False),
            Evaluation.state == EvaluationState.DONE,
            DatasetRow.fingerprint == fingerprint,
            Evaluation.protocol_hash == protocol_hash,
            made_by,
        )
        .subquery()
    )
    newest = select(query.c.id).where(query.c.place == 1)
    return list(session.scalars(newest.order_by(query.c.created_at, query.c.id)))


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
