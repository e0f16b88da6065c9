"""A page of a leaderboard, and its numbers.

Rows are plain tuples: making mapped objects of them would take longer than all of the page's SQL. Every
statement about one leaderboard selects it by `is_of`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Uuid,
    any_,
    func,
    literal,
    select,
)
from sqlalchemy.orm import Session, aliased

from records.db import BINARY
from records.kept import Kept
from records.models import Checkpoint, DatasetRow, Evaluation, EvaluationState, Model, ScoreRow
from records.repositories.names import is_called_like
from records.repositories.visibility import Visibility
from vcp_core.catalog.readings import version_of
from vcp_core.catalog.scores import FIELDS, Score

DONE = Evaluation.state == EvaluationState.DONE


@dataclass(frozen=True, kw_only=True)
class LeaderboardKey:
    """The key of a leaderboard: only results that agree on all three are compared.

    Attributes:
        fingerprint: Fingerprint of the dataset's videos.
        protocol_hash: Hash of the protocol.
        engine: The engine that made the results.
    """

    fingerprint: str
    protocol_hash: str
    engine: str


@dataclass(frozen=True, kw_only=True)
class LeaderboardQuery:
    """The rows and numbers that are asked for.

    Attributes:
        board: The leaderboard.
        visible: What the reader sees (`visibility.cache_key`, because queries are keys of caches).
        sort: A metric, or one of `COLUMNS`.
        descending: Largest or newest first.
        metrics: The numbers of a row; the headline metrics if none is named.
        model: Only models whose name contains this.
        team: Only of this team.
        backbone: Only of this backbone.
        run: Only of this training run.
        latest: Only the newest evaluated checkpoint of every model.
        limit: Rows of a page.
        offset: Rows before it.
    """

    board: LeaderboardKey
    visible: Visibility
    sort: str
    descending: bool = True
    metrics: tuple[str, ...] = ()
    model: str | None = None
    team: str | None = None
    backbone: str | None = None
    run: str | None = None
    latest: bool = False
    limit: int
    offset: int = 0


class Facts(NamedTuple):
    """The facts of a row: which evaluation, of which checkpoint and model."""

    evaluation: UUID
    model: str | None
    team: str | None
    backbone: str | None
    run: str | None
    step: int | None
    seed: int | None
    checkpoint: UUID
    sha256: str | None
    finished_at: datetime | None
    scheme: str | None
    scheme_version: int

    @property
    def outdated(self) -> bool:
        """Whether the facts of the checkpoint's key scheme have changed since."""
        return self.scheme_version != version_of(self.backbone, self.scheme)


Measured = tuple[float, float, float, str]  # value, low, high and `better` of a score
Ordered = tuple[UUID, Measured | None]  # an evaluation, and the score that the board is sorted by
# The number of a board's results, and when the newest came. What a board consists of changes only with it.
BoardState = tuple[int, datetime | None]


FACTS = (
    Evaluation.id,
    Model.name,
    Model.team,
    Checkpoint.backbone,
    Checkpoint.run,
    Checkpoint.step,
    Checkpoint.seed,
    Checkpoint.id,
    Checkpoint.sha256,
    Evaluation.finished_at,
    Checkpoint.scheme,
    Evaluation.scheme_version,
)
COLUMNS: dict[str, Any] = {
    "created_at": Evaluation.created_at,
    "finished_at": Evaluation.finished_at,
    "model": Model.name,
    "step": Checkpoint.step,
}


def state(session: Session, board: LeaderboardKey, visible: Visibility) -> BoardState:
    """How many results a reader sees on a board, and when the newest came.

    An index holds all that this reads of evaluations.
    """
    query = (
        select(func.count(), func.max(Evaluation.finished_at))
        .select_from(Evaluation)
        .join(DatasetRow, DatasetRow.id == Evaluation.dataset_id)
        .where(Evaluation.is_control.is_(False), is_of(board), visible.evaluations())
    )
    number, newest = session.execute(query).one()
    return int(number), newest


def order(session: Session, wanted: LeaderboardQuery) -> list[Ordered]:
    """Read which rows all pages of a board have, in order, those without a sort value last."""
    score = aliased(ScoreRow)
    column = COLUMNS.get(wanted.sort, score.value)
    by = column.desc() if wanted.descending else column.asc()
    query = (
        _chosen(wanted)
        .outerjoin(score, (score.evaluation_id == Evaluation.id) & (score.metric == wanted.sort))
        .with_only_columns(Evaluation.id, score.value, score.low, score.high, score.better)
        .order_by(by.nulls_last(), Evaluation.created_at, Evaluation.id)
    )
    return [
        (evaluation, None if value is None else (value, low, high, better))
        for evaluation, value, low, high, better in _fetch(session, query)
    ]


def facts(session: Session, evaluations: Sequence[UUID]) -> dict[UUID, Facts]:
    """Read the facts of rows by their evaluations' ids."""
    query = (
        select(*FACTS)
        .select_from(Evaluation)
        .join(Checkpoint, Checkpoint.id == Evaluation.checkpoint_id)
        .join(Model, Model.id == Checkpoint.model_id)
        .where(Evaluation.id == any_(literal(list(evaluations), ARRAY(Uuid))))
    )
    rows = (Facts._make(row) for row in session.connection().execute(query))
    return {row.evaluation: row for row in rows}


def controls(session: Session, board: LeaderboardKey, visible: Visibility) -> list[Facts]:
    """The leaderboard's finished evaluations of random weights and of pixels that a reader sees."""
    query = (
        select(*FACTS)
        .select_from(Evaluation)
        .join(Checkpoint, Checkpoint.id == Evaluation.checkpoint_id)
        .join(DatasetRow, DatasetRow.id == Evaluation.dataset_id)
        .outerjoin(Model, Model.id == Checkpoint.model_id)
        .where(visible.controls(), is_of(board))
        .order_by(Checkpoint.backbone, Checkpoint.seed.nulls_first(), Evaluation.created_at)
    )
    return [Facts._make(row) for row in session.execute(query)]


SCORES = TypeAdapter(list[Score])
# The scores of a finished evaluation never change, so a process reads and checks them once.
KEPT = Kept[tuple[UUID, tuple[str, ...]], dict[str, Score]](4096)  # evaluations
MOST_KEPT_METRICS = 12  # a wider selection is read each time: a board of all metrics would fill the memory


def scores(
    session: Session, evaluations: Iterable[UUID], metrics: Sequence[str] = ()
) -> dict[UUID, dict[str, Score]]:
    """Read scores of finished evaluations.

    Args:
        session: A transaction.
        evaluations: Their ids. All of them are done.
        metrics: The metrics to read; the headline ones if none is named.

    Returns:
        For each evaluation, its scores by the metric's name.
    """
    names = tuple(metrics)
    found = {one: KEPT.get((one, names)) for one in evaluations}
    missing = [one for one, known in found.items() if known is None]
    read = _read_scores(session, missing, names) if missing else {}
    if len(names) <= MOST_KEPT_METRICS:
        for one in missing:
            KEPT.put((one, names), read.get(one, {}))
    return {one: read.get(one, {}) if known is None else known for one, known in found.items()}


def _read_scores(
    session: Session, evaluations: Sequence[UUID], metrics: Sequence[str]
) -> dict[UUID, dict[str, Score]]:
    shown = ScoreRow.metric.in_(metrics) if metrics else ScoreRow.headline
    query = (
        select(ScoreRow.evaluation_id, *(getattr(ScoreRow, name) for name in FIELDS))
        .where(ScoreRow.evaluation_id == any_(literal(evaluations, ARRAY(Uuid))), shown)
        .order_by(ScoreRow.evaluation_id, ScoreRow.metric)
    )
    rows = _fetch(session, query)
    every = SCORES.validate_python([dict(zip(FIELDS, row[1:], strict=True)) for row in rows])
    found: dict[UUID, dict[str, Score]] = {}
    for row, score in zip(rows, every, strict=True):
        found.setdefault(row[0], {})[score.metric] = score
    return found


def _fetch(session: Session, query: Any) -> Sequence[Any]:
    """Read rows of thousands of numbers in PostgreSQL's binary form.

    docs/decisions/2026-11-28-board.md says what the binary form saves.
    """
    return session.connection().execute(query, execution_options={BINARY: True}).all()


def is_of(board: LeaderboardKey) -> ColumnElement[bool]:
    """The finished evaluations of a board, controls among them; the statement joins their datasets."""
    return (
        DONE
        & (DatasetRow.fingerprint == board.fingerprint)
        & (Evaluation.protocol_hash == board.protocol_hash)
        & (Evaluation.engine == board.engine)
    )


def _chosen(wanted: LeaderboardQuery) -> Select[Any]:
    """The board's evaluations, joined with checkpoint, model and dataset, in no order."""
    query = _filtered(wanted)
    if wanted.latest:
        order = (Checkpoint.created_at.desc(), Evaluation.created_at.desc(), Evaluation.id)
        position = func.row_number().over(partition_by=Model.id, order_by=order).label("position")
        newest = _filtered(wanted).with_only_columns(Evaluation.id, position).subquery()
        query = query.where(Evaluation.id.in_(select(newest.c.id).where(newest.c.position == 1)))
    return query


def _filtered(wanted: LeaderboardQuery) -> Select[Any]:
    query = (
        select(Evaluation.id)
        .join(Checkpoint, Evaluation.checkpoint_id == Checkpoint.id)
        .join(Model, Checkpoint.model_id == Model.id)
        .join(DatasetRow, Evaluation.dataset_id == DatasetRow.id)
        .where(Evaluation.is_control.is_(False), is_of(wanted.board), wanted.visible.models())
    )
    if wanted.model is not None:
        query = query.where(is_called_like(wanted.model))
    equal = {Model.team: wanted.team, Checkpoint.backbone: wanted.backbone, Checkpoint.run: wanted.run}
    for column, value in equal.items():
        if value is not None:
            query = query.where(column == value)
    return query
