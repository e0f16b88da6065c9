"""The board: rows with scores, ranked; as JSON and as CSV from the same query."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from uuid import UUID

from sqlalchemy.orm import Session

from records.models import DatasetRow, Evaluation, ScoreRow
from records.repositories import datasets, evaluations, leaderboard
from records.repositories.leaderboard import COLUMNS, BoardQuery
from service.datasets import service as dataset_service
from service.evaluations.schemas import DatasetRef, ProtocolRef, ScoreOut, score_out
from service.leaderboard.places import NOWHERE, Standing, standings
from service.leaderboard.schemas import Board, BoardRow, ControlRow
from service.problems import Conflict
from service.protocols import service as protocol_service
from vcp_core.catalog import versions
from vcp_core.catalog.errors import UnknownName

FACTS = (
    "rank",
    "tied",
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
PARTS = ("value", "low", "high", "lift", "lift_low", "lift_high", "chance", "control", "pixels")


def board(
    session: Session,
    *,
    dataset: str,
    protocol: str,
    engine: str | None = None,
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
        UnknownName: If there is no such dataset, protocol, engine, or metric to sort by.
        Conflict: If the dataset is not indexed yet.
    """
    row, fingerprint = _indexed(session, dataset)
    numbers = protocol_service.find(session, protocol)
    made_by = engine_of(session, fingerprint, numbers.hash, engine)
    column = sort.removeprefix("-")
    query = BoardQuery(
        fingerprint=fingerprint,
        protocol_hash=numbers.hash,
        engine=made_by,
        sort=column,
        descending=sort.startswith("-"),
        model=model,
        team=team,
        backbone=backbone,
        run=run,
        latest=latest,
    )
    places = leaderboard.places(session, query)
    standing = standings(places)
    page = [place.evaluation for place in places[offset : offset + limit]]
    controls = leaderboard.controls(session, fingerprint, numbers.hash, made_by)
    scores = evaluations.scores(session, [*page, *(control.id for control in controls)])
    _check_metrics(session, query, {column, *metrics} - set(COLUMNS), scores)
    return Board(
        dataset=DatasetRef(name=row.name, fingerprint=fingerprint),
        protocol=ProtocolRef(name=numbers.name, hash=numbers.hash),
        engine=made_by,
        older=made_by != versions.engine(),
        sort=sort,
        total=len(places),
        rows=[
            _row(found, standing.get(found.id, NOWHERE), _wanted(scores[found.id], metrics))
            for found in evaluations.these(session, page)
        ],
        controls=[_control(control, _wanted(scores[control.id], metrics)) for control in controls],
    )


def engine_of(session: Session, fingerprint: str, protocol_hash: str, wanted: str | None) -> str:
    """The engine of the board that is meant: this version's; an older one's where that alone has results.

    Raises:
        UnknownName: If none of that name has results.
    """
    current = versions.engine()
    known = leaderboard.engines(session, fingerprint, protocol_hash)
    if wanted is not None and wanted not in (current, *known):
        raise UnknownName("engine", wanted, {current, *known})
    return wanted or (current if current in known or not known else known[0])


def _indexed(session: Session, name: str) -> tuple[DatasetRow, str]:
    row = datasets.of_board(session, name)
    known = () if row else dataset_service.known(session)
    if row is None and name not in known:
        raise UnknownName("dataset", name, known)
    if row is None or row.fingerprint is None:
        state = row.state.value if row else "not used yet"
        raise Conflict(f"The dataset {name} is {state}; it has no results.")
    return row, row.fingerprint


def to_csv(found: Board) -> str:
    """The same rows; a metric is nine columns: `recognition.top1.value`, and so on through `PARTS`."""
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
    if isinstance(value, bool):
        return str(value).lower()
    text = value.isoformat() if hasattr(value, "isoformat") else value
    return f"'{text}" if isinstance(text, str) and text[:1] in "=+-@\t\r" and text else text


def _check_metrics(
    session: Session,
    query: BoardQuery,
    wanted: set[str],
    page: Mapping[UUID, list[ScoreRow]],
) -> None:
    """A metric that no row of this page has may be on another page; one that no page has is a slip."""
    unseen = wanted - {row.metric for rows in page.values() for row in rows}
    if not unseen:
        return
    known = leaderboard.metrics(session, query.fingerprint, query.protocol_hash, query.engine)
    for metric in sorted(unseen - known) if known else ():
        raise UnknownName("metric", metric, known | set(COLUMNS))


def _wanted(rows: list[ScoreRow], metrics: list[str]) -> dict[str, ScoreOut]:
    return {
        row.metric: score_out(row) for row in rows if (row.metric in metrics if metrics else row.headline)
    }


def _row(evaluation: Evaluation, standing: Standing, scores: dict[str, ScoreOut]) -> BoardRow:
    checkpoint = evaluation.checkpoint
    assert checkpoint.model is not None
    return BoardRow(
        rank=standing.rank,
        tied=standing.tied,
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


def _control(control: Evaluation, scores: dict[str, ScoreOut]) -> ControlRow:
    checkpoint = control.checkpoint
    return ControlRow(
        evaluation=control.id, backbone=checkpoint.backbone, seed=checkpoint.seed, scores=scores
    )
