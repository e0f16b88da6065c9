"""The board: a page of rows with scores, ranked. JSON, CSV and the page for people are views of `rows_of`."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from itertools import chain
from operator import attrgetter
from uuid import UUID

from sqlalchemy.orm import Session

from records.kept import Kept
from records.repositories import datasets, leaderboard_choices, visibility
from records.repositories import leaderboard as repository
from records.repositories.leaderboard import (
    COLUMNS,
    BoardState,
    Facts,
    LeaderboardKey,
    LeaderboardQuery,
)
from records.repositories.visibility import Visibility
from service.auth import Caller
from service.datasets import service as dataset_service
from service.evaluations.schemas import DatasetRef, ProtocolRef
from service.leaderboard.ranks import Ranks
from service.leaderboard.schemas import Board, BoardRow, ControlRow
from service.protocols import service as protocol_service
from service.visible import visible_to
from vcp_core.catalog import versions
from vcp_core.catalog.errors import UnknownName
from vcp_core.catalog.scores import PARTS, Score

FACTS = tuple(
    name for name in BoardRow.model_fields if name != "scores"
)  # columns of the CSV before the scores


@dataclass(frozen=True, kw_only=True)
class Rows:
    """A page of a board.

    Attributes:
        total: Number of rows on all pages.
        rows: The rows of this page.
        controls: Random weights and pixels under the same conditions.
    """

    total: int
    rows: list[BoardRow]
    controls: list[ControlRow]


@dataclass(frozen=True)
class Order:
    """All rows of a board under some filters, in order.

    Attributes:
        evaluations: The rows' evaluations.
        values: The values that they are sorted by.
        ranks: The rank of each value.
    """

    evaluations: list[UUID]
    values: list[float | None]
    ranks: Ranks


# A board changes with its state: results are never changed, and their times ascend, because they end under
# the flow's lock. What changes without it (a run that is declared later, a control that others wait for) is
# seen after `KEPT_S`.
KEPT_S = 30.0
ORDERS = Kept[tuple[LeaderboardQuery, BoardState], Order](32, seconds=KEPT_S)
ROWS = Kept[tuple[LeaderboardQuery, BoardState], Rows](64, seconds=KEPT_S)
MOST_KEPT_ROWS = 20_000  # a longer order is read each time
MOST_KEPT_PAGE = 200  # a longer page is read each time: 64 pages of 200 rows are 25 MB


def rows_of(session: Session, wanted: LeaderboardQuery, state: BoardState | None = None) -> Rows:
    """Read a page of a board: rows with the wanted scores, and each row's rank on the whole board.

    Args:
        session: A transaction.
        wanted: Which board, which rows, in which order.
        state: The board's state, if it was read in this transaction.
    """
    state = state or repository.state(session, wanted.board, wanted.visible)
    rows = ROWS.get((wanted, state))
    if rows is None:
        rows = _read(session, wanted, _order(session, wanted, state))
        if wanted.limit <= MOST_KEPT_PAGE and len(wanted.metrics) <= repository.MOST_KEPT_METRICS:
            ROWS.put((wanted, state), rows)
    return rows


def _read(session: Session, wanted: LeaderboardQuery, order: Order) -> Rows:
    page = slice(wanted.offset, wanted.offset + wanted.limit)
    facts = repository.facts(session, order.evaluations[page])
    controls = repository.controls(session, wanted.board, wanted.visible)
    scores = repository.scores(session, [*facts, *(one.evaluation for one in controls)], wanted.metrics)
    return Rows(
        total=len(order.evaluations),
        rows=[
            _row(facts[one], value, order.ranks, scores.get(one, {}))
            for one, value in zip(order.evaluations[page], order.values[page], strict=True)
            if one in facts  # it may have been deleted just now
        ],
        controls=[
            ControlRow(
                evaluation=facts.evaluation,
                backbone=facts.backbone,
                seed=facts.seed,
                scores=scores.get(facts.evaluation, {}),
            )
            for facts in controls
        ],
    )


def _order(session: Session, wanted: LeaderboardQuery, state: BoardState) -> Order:
    """Read the order of a board's rows, or take it from memory if the board has not changed since."""
    key = replace(wanted, metrics=(), limit=0, offset=0), state
    order = ORDERS.get(key)
    if order is None:
        rows = repository.order(session, wanted)
        order = Order(
            evaluations=[evaluation for evaluation, _ in rows],
            values=[score[0] if score else None for _, score in rows],
            ranks=Ranks(score for _, score in rows if score),
        )
        if len(rows) <= MOST_KEPT_ROWS:
            ORDERS.put(key, order)
    return order


def leaderboard_page(
    session: Session,
    reader: Caller | None,
    *,
    dataset: str,
    protocol: str,
    engine: str | None = None,
    sort: str,
    metrics: tuple[str, ...],
    limit: int,
    offset: int,
    model: str | None = None,
    team: str | None = None,
    backbone: str | None = None,
    run: str | None = None,
    latest: bool = False,
) -> Board:
    """Find the board that a client names, and read one page of it. Without a fingerprint there are no rows.

    Raises:
        UnknownName: If there is no such dataset, protocol, engine, or metric to sort by.
    """
    name, fingerprint = _known(session, dataset)
    numbers = protocol_service.find(session, protocol)
    if fingerprint is None:
        return Board(
            dataset=DatasetRef(name=name, fingerprint=None),
            protocol=ProtocolRef(name=numbers.name, hash=numbers.hash),
            engine=versions.engine(),
            older=False,
            sort=sort,
            total=0,
            rows=[],
            controls=[],
        )
    visible = visibility.cache_key(session, visible_to(reader))
    made_by = engine_of(session, fingerprint, numbers.hash, engine, visible)
    wanted = LeaderboardQuery(
        board=LeaderboardKey(fingerprint=fingerprint, protocol_hash=numbers.hash, engine=made_by),
        visible=visible,
        sort=sort.removeprefix("-"),
        descending=sort.startswith("-"),
        metrics=metrics,
        model=model,
        team=team,
        backbone=backbone,
        run=run,
        latest=latest,
        limit=limit,
        offset=offset,
    )
    found = rows_of(session, wanted)
    _check_metrics(session, wanted, found)
    return Board(
        dataset=DatasetRef(name=name, fingerprint=fingerprint),
        protocol=ProtocolRef(name=numbers.name, hash=numbers.hash),
        engine=made_by,
        older=made_by != versions.engine(),
        sort=sort,
        total=found.total,
        rows=found.rows,
        controls=found.controls,
    )


def _row(facts: Facts, value: float | None, ranks: Ranks, scores: dict[str, Score]) -> BoardRow:
    assert facts.model is not None
    assert facts.team is not None
    standing = ranks.of(value)
    return BoardRow.model_construct(  # without validation: the rows were checked when they were written
        rank=standing.rank,
        tied=standing.tied,
        evaluation=facts.evaluation,
        model=facts.model,
        team=facts.team,
        backbone=facts.backbone,
        run=facts.run,
        step=facts.step,
        checkpoint=facts.checkpoint,
        sha256=facts.sha256,
        finished_at=facts.finished_at,
        outdated=facts.outdated,
        scores=scores,
    )


def engine_of(
    session: Session, fingerprint: str, protocol_hash: str, wanted: str | None, visible: Visibility
) -> str:
    """Choose the engine of a board: this version's, or an older one if only older ones have results.

    Raises:
        UnknownName: If the named engine has no results.
    """
    current = versions.engine()
    known = leaderboard_choices.engines(session, fingerprint, protocol_hash, visible)
    if wanted is not None and wanted not in (current, *known):
        raise UnknownName("engine", wanted, {current, *known})
    return wanted or (current if current in known or not known else known[0])


def _known(session: Session, name: str) -> tuple[str, str | None]:
    """Name and fingerprint of a dataset; no fingerprint if its videos were not read yet."""
    row = datasets.of_leaderboard(session, name)
    if row is not None:
        return row.name, row.fingerprint
    known = dataset_service.known(session)
    if name not in known:
        raise UnknownName("dataset", name, known)
    return name, None


def _check_metrics(session: Session, wanted: LeaderboardQuery, found: Rows) -> None:
    """Refuse a metric that no page has. A metric that this page lacks may be on another page."""
    unseen = {wanted.sort, *wanted.metrics} - COLUMNS.keys()
    unseen -= {metric for row in found.rows for metric in row.scores}
    board, visible = wanted.board, wanted.visible
    if not unseen or not unseen - leaderboard_choices.newest_metrics(session, board, visible).keys():
        return
    known = leaderboard_choices.all_metrics(session, board, visible)
    for metric in sorted(unseen - known.keys()) if known else ():
        raise UnknownName("metric", metric, [*known, *COLUMNS])


def to_csv(found: Board) -> str:
    """Write a leaderboard as CSV. A metric has a column for each of `PARTS`, as `recognition.top1.value`."""
    metrics = sorted({metric for row in found.rows for metric in row.scores})
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*FACTS, *(f"{metric}.{part}" for metric in metrics for part in PARTS)])
    parts_of, nothing = attrgetter(*PARTS), (None,) * len(PARTS)
    for row in found.rows:
        facts = [_safe(getattr(row, fact)) for fact in FACTS]
        numbers = (
            map(_plain, parts_of(row.scores[metric])) if metric in row.scores else nothing
            for metric in metrics
        )
        writer.writerow([*facts, *chain.from_iterable(numbers)])
    return text.getvalue()


def _plain(value: object) -> object:
    """Convert a value into what JSON would write."""
    return str(value).lower() if isinstance(value, bool) else value


def _safe(value: object) -> object:
    """Make a spreadsheet take a cell for text: a model may have the name `=cmd()`."""
    value = _plain(value)
    text = value.isoformat() if hasattr(value, "isoformat") else value
    return f"'{text}" if isinstance(text, str) and text[:1] in "=+-@\t\r" and text else text
