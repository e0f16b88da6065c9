"""The board: one query for page, JSON and CSV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Select, String, bindparam, exists, func, select
from sqlalchemy.orm import Session, aliased

from records.models import Checkpoint, DatasetRow, Evaluation, EvaluationState, Model, ScoreRow


@dataclass(frozen=True, kw_only=True)
class BoardQuery:
    """What a board shows.

    Attributes:
        fingerprint: Of the dataset.
        protocol_hash: One protocol, one board.
        engine: That made the results; one engine, one board.
        sort: A metric, or one of `COLUMNS`.
        descending: Best or newest first.
        model: Only models whose name contains this.
        team: Only of this team.
        backbone: Only of this one.
        run: Only of this training run.
        latest: Only the newest evaluated checkpoint of every model.
    """

    fingerprint: str
    protocol_hash: str
    engine: str
    sort: str
    descending: bool = True
    model: str | None = None
    team: str | None = None
    backbone: str | None = None
    run: str | None = None
    latest: bool = False


class Place(NamedTuple):
    """An evaluation in the board's order, with the score that it is sorted by."""

    evaluation: UUID
    value: float | None
    low: float | None
    high: float | None


COLUMNS: dict[str, Any] = {
    "created_at": Evaluation.created_at,
    "finished_at": Evaluation.finished_at,
    "model": Model.name,
    "step": Checkpoint.step,
}


def places(session: Session, board: BoardQuery) -> list[Place]:
    """Every row of a board in its order, those without the metric last."""
    score = aliased(ScoreRow)
    by_metric = (score.evaluation_id == Evaluation.id) & (score.metric == board.sort)
    query = _chosen(board).outerjoin(score, by_metric)
    column = COLUMNS.get(board.sort, score.value)
    order = column.desc() if board.descending else column.asc()
    columns = query.with_only_columns(Evaluation.id, score.value, score.low, score.high)
    ordered = columns.order_by(order.nulls_last(), Evaluation.created_at, Evaluation.id)
    return [Place._make(row) for row in session.connection().execute(ordered)]


def engines(session: Session, fingerprint: str, protocol_hash: str) -> list[str]:
    """Those that made results under these conditions, the one with the newest first."""
    query = (
        select(Evaluation.engine)
        .join(DatasetRow, DatasetRow.id == Evaluation.dataset_id)
        .where(
            Evaluation.is_control.is_(False),
            Evaluation.state == EvaluationState.DONE,
            DatasetRow.fingerprint == fingerprint,
            Evaluation.protocol_hash == protocol_hash,
        )
        .group_by(Evaluation.engine)
    )
    return list(session.scalars(query.order_by(func.max(Evaluation.finished_at).desc().nulls_last())))


def metrics(session: Session, fingerprint: str, protocol_hash: str, engine: str) -> set[str]:
    """Names of the metrics that some evaluation under these conditions has."""
    query = (
        select(ScoreRow.metric)
        .join(Evaluation, Evaluation.id == ScoreRow.evaluation_id)
        .join(DatasetRow, DatasetRow.id == Evaluation.dataset_id)
        .where(DatasetRow.fingerprint == fingerprint, Evaluation.protocol_hash == protocol_hash)
        .where(Evaluation.engine == engine)
    )
    return set(session.scalars(query.distinct()))


def known(session: Session, names: Iterable[str]) -> set[str]:
    """Those of these metrics that any evaluation of any board has."""
    name = func.unnest(bindparam(None, list(names), type_=ARRAY(String))).column_valued("name")
    return set(session.scalars(select(name).where(exists().where(ScoreRow.metric == name))))


def controls(session: Session, fingerprint: str, protocol_hash: str, engine: str) -> Sequence[Evaluation]:
    """Finished evaluations of random weights under the board's conditions."""
    query = (
        select(Evaluation)
        .join(DatasetRow, Evaluation.dataset_id == DatasetRow.id)
        .where(
            Evaluation.is_control.is_(True),
            Evaluation.state == EvaluationState.DONE,
            DatasetRow.fingerprint == fingerprint,
            Evaluation.protocol_hash == protocol_hash,
            Evaluation.engine == engine,
        )
    )
    return session.scalars(query.order_by(Evaluation.created_at)).unique().all()


def _chosen(board: BoardQuery) -> Select[Any]:
    """The board's evaluations, joined with checkpoint, model and dataset, in no order."""
    query = _finished(board)
    if board.latest:
        order = (Checkpoint.created_at.desc(), Evaluation.created_at.desc(), Evaluation.id)
        place = func.row_number().over(partition_by=Model.id, order_by=order).label("place")
        newest = _finished(board).with_only_columns(Evaluation.id, place).subquery()
        query = query.where(Evaluation.id.in_(select(newest.c.id).where(newest.c.place == 1)))
    return query


def _finished(board: BoardQuery) -> Select[Any]:
    query = (
        select(Evaluation)
        .join(Checkpoint, Evaluation.checkpoint_id == Checkpoint.id)
        .join(Model, Checkpoint.model_id == Model.id)
        .join(DatasetRow, Evaluation.dataset_id == DatasetRow.id)
        .where(
            Evaluation.is_control.is_(False),
            Evaluation.state == EvaluationState.DONE,
            DatasetRow.fingerprint == board.fingerprint,
            Evaluation.protocol_hash == board.protocol_hash,
            Evaluation.engine == board.engine,
        )
    )
    if board.model is not None:
        query = query.where(Model.name.icontains(board.model, autoescape=True))
    equal = {Model.team: board.team, Checkpoint.backbone: board.backbone, Checkpoint.run: board.run}
    for column, value in equal.items():
        if value is not None:
            query = query.where(column == value)
    return query
