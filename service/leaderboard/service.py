"""The board: rows with scores, ranked; as JSON and as CSV from the same query."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from uuid import UUID

from sqlalchemy.orm import Session

from records.models import Evaluation, ScoreRow
from records.repositories import datasets, evaluations, leaderboard
from records.repositories.leaderboard import COLUMNS, BoardQuery
from service.datasets import service as dataset_service
from service.evaluations.schemas import DatasetRef, ProtocolRef, ScoreOut, score_out
from service.leaderboard.schemas import Board, BoardRow, ControlRow
from service.problems import Conflict
from service.protocols import service as protocol_service
from vcp_core.catalog.errors import UnknownName

FACTS = (
    "rank",
    "model",
    "team",
    "backbone",
    "run",
    "step",
    "evaluation",
    "checkpoint",
    "sha256",
    "finished_at",
)
PARTS = ("value", "low", "high", "lift")


def board(
    session: Session,
    *,
    dataset: str,
    protocol: str,
    sort: str,
    metrics: list[str],
    limit: int,
    offset: int,
    model: str | None = None,
    team: str | None = None,
    backbone: str | None = None,
    run: str | None = None,
    latest: bool = False,
) -> Board:
    """One page of the board.

    Raises:
        UnknownName: If there is no such dataset, protocol, or metric to sort by.
        Conflict: If the dataset is not indexed yet.
    """
    row = datasets.named(session, dataset)
    if row is None:
        raise UnknownName("dataset", dataset, dataset_service.known(session))
    if row.fingerprint is None:
        raise Conflict(f"The dataset {dataset} is {row.state.value}; it has no results yet.")
    numbers = protocol_service.find(session, protocol)
    column = sort.removeprefix("-")
    query = BoardQuery(
        fingerprint=row.fingerprint,
        protocol_hash=numbers.hash,
        sort=column,
        descending=sort.startswith("-"),
        model=model,
        team=team,
        backbone=backbone,
        run=run,
        latest=latest,
        limit=limit,
        offset=offset,
    )
    found, total = leaderboard.rows(session, query)
    controls = leaderboard.controls(session, row.fingerprint, numbers.hash)
    scores = evaluations.scores(session, [e.id for e in (*found, *controls)])
    _check_sort(column, scores)
    ranks = _ranks([_value(scores[evaluation.id], column) for evaluation in found], offset)
    return Board(
        dataset=DatasetRef(name=row.name, fingerprint=row.fingerprint),
        protocol=ProtocolRef(name=numbers.name, hash=numbers.hash),
        sort=sort,
        total=total,
        rows=[
            _row(evaluation, rank, _wanted(scores[evaluation.id], metrics))
            for evaluation, rank in zip(found, ranks, strict=True)
        ],
        controls=[
            ControlRow(
                evaluation=control.id,
                backbone=control.checkpoint.backbone,
                seed=control.checkpoint.seed,
                scores=_wanted(scores[control.id], metrics),
            )
            for control in controls
        ],
    )


def to_csv(found: Board) -> str:
    """The same rows; a metric is four columns: value, low, high, lift."""
    metrics = sorted({metric for row in found.rows for metric in row.scores})
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*FACTS, *(f"{metric}.{part}" for metric in metrics for part in PARTS)])
    for row in found.rows:
        facts = [_safe(getattr(row, fact)) for fact in FACTS]
        numbers = [
            getattr(row.scores[metric], part) if metric in row.scores else None
            for metric in metrics
            for part in PARTS
        ]
        writer.writerow([*facts, *numbers])
    return text.getvalue()


def _safe(value: object) -> object:
    """A cell that a spreadsheet takes for text: a model may be called `=cmd()`."""
    text = value.isoformat() if hasattr(value, "isoformat") else value
    return f"'{text}" if isinstance(text, str) and text[:1] in "=+-@\t\r" and text else text


def _check_sort(column: str, scores: Mapping[UUID, list[ScoreRow]]) -> None:
    known = {row.metric for rows in scores.values() for row in rows} | set(COLUMNS)
    if len(known) > len(COLUMNS) and column not in known:
        raise UnknownName("metric", column, known)


def _value(rows: list[ScoreRow], metric: str) -> float | None:
    return next((row.value for row in rows if row.metric == metric), None)


def _ranks(values: list[float | None], offset: int) -> list[int | None]:
    """Places from `offset` on; equal values share the first of them."""
    ranks: list[int | None] = []
    for place, value in enumerate(values):
        equal = place > 0 and value == values[place - 1]
        ranks.append(None if value is None else ranks[-1] if equal else offset + place + 1)
    return ranks


def _wanted(rows: list[ScoreRow], metrics: list[str]) -> dict[str, ScoreOut]:
    return {
        row.metric: score_out(row) for row in rows if (row.metric in metrics if metrics else row.headline)
    }


def _row(evaluation: Evaluation, rank: int | None, scores: dict[str, ScoreOut]) -> BoardRow:
    checkpoint = evaluation.checkpoint
    assert checkpoint.model is not None
    return BoardRow(
        rank=rank,
        evaluation=evaluation.id,
        model=checkpoint.model.name,
        team=checkpoint.model.team,
        backbone=checkpoint.backbone,
        run=checkpoint.run,
        step=checkpoint.step,
        checkpoint=checkpoint.id,
        sha256=checkpoint.sha256,
        finished_at=evaluation.finished_at,
        scores=scores,
    )
