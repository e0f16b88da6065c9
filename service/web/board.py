"""The board as a page: which board, its order with ties, its cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from uuid import UUID

from markupsafe import Markup
from sqlalchemy.orm import Session

from records.models import DatasetState, ProtocolRow
from records.repositories import board, datasets, leaderboard
from records.repositories.board import Facts, Named, Number
from records.repositories.leaderboard import COLUMNS, BoardQuery
from service.datasets import schemas as dataset_schemas
from service.datasets import service as dataset_service
from service.leaderboard.places import NOWHERE, Standing, standings
from service.protocols import service as protocol_service
from service.web import figures, names
from service.web.parameters import API_PAGE, DEFAULT_METRICS, BoardParameters
from vcp_core.catalog.defaults import DEFAULT_PROTOCOL
from vcp_core.catalog.errors import UnknownName
from vcp_core.catalog.versions import engine


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of numbers.

    Attributes:
        metric: What it shows.
        title: Under its group's heading.
        heat: Whether it belongs to the options' strip.
    """

    metric: str
    title: str
    heat: bool


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the table; `cells` are its numbers, as markup.

    Attributes:
        facts: Whose it is.
        standing: Its place.
        cells: Table cells, in the order of the columns.
    """

    facts: Facts
    standing: Standing
    cells: Markup


@dataclass(frozen=True, kw_only=True)
class Board:
    """All that the template needs.

    Attributes:
        boards: Those that have results, newest first, of datasets that have a name now.
        shown: The chosen one; its `num_results` is 0 where there are none yet.
        older: Boards of the same videos and protocol that other versions made.
        earlier: Boards under this protocol of videos that had the dataset's name before.
        why_empty: What the chosen dataset's state has to do with it.
        parameters: With the chosen dataset and protocol filled in.
        columns: Of numbers.
        groups: Headings above them, and how many columns each spans.
        rows: Of this page.
        controls: Random weights.
        chance: A cell for every column.
        total: Rows of all pages.
        choices: Teams, backbones and runs that there are.
        metrics: That columns can show.
        downloads: Labels, and addresses of JSON and CSV.
    """

    boards: list[Named]
    shown: Named
    older: list[Named]
    earlier: list[Named]
    why_empty: str | None
    parameters: BoardParameters
    columns: list[Column]
    groups: list[tuple[str, int]]
    rows: list[Row]
    controls: list[Row]
    chance: Markup
    total: int
    choices: dict[str, list[str]]
    metrics: list[str]
    downloads: list[tuple[str, str, str]]


def show(session: Session, wanted: BoardParameters) -> Board | None:
    """The board; None where no dataset has results and none was named.

    Raises:
        UnknownName: If there is no such dataset, protocol or metric.
    """
    known = board.boards(session)
    shown, why_empty = _choose(session, known, wanted)
    if shown is None:
        return None
    parameters = replace(wanted, dataset=shown.key, protocol=shown.protocol)
    parameters = replace(parameters, engine=shown.engine if shown.older else None)
    metrics = board.metrics(session, shown.fingerprint, shown.hash, shown.engine) if shown.num_results else []
    if metrics:
        parameters = _known(session, shown, parameters, metrics)
    columns = [
        Column(metric=metric, title=names.short(metric), heat=metric in names.OPTION_METRICS)
        for metric in parameters.metric
    ]
    places = leaderboard.places(session, _query(shown, parameters))
    page = places[parameters.offset : parameters.offset + parameters.limit]
    facts = board.facts(session, [place.evaluation for place in page])
    controls = board.controls(session, shown.fingerprint, shown.hash, shown.engine)
    everyone = [*facts, *(control.evaluation for control in controls)]
    numbers = board.numbers(session, everyone, parameters.metric)
    standing = standings(places)
    return Board(
        boards=[one for one in known if not one.superseded],
        shown=shown,
        older=[one for one in known if _is_other_engine(one, shown)],
        earlier=[one for one in known if _is_earlier(one, shown)],
        why_empty=why_empty,
        parameters=parameters,
        columns=columns,
        groups=[(title, len(list(of))) for title, of in groupby(names.group(c.metric) for c in columns)],
        rows=[_row(facts[place.evaluation], columns, numbers, standing) for place in page],
        controls=[_row(control, columns, numbers, {}) for control in controls],
        chance=_chance(columns, numbers),
        total=len(places),
        choices=board.choices(session, shown.fingerprint, shown.hash, shown.engine)
        if shown.num_results
        else {},
        metrics=metrics,
        downloads=_downloads(parameters, len(page)),
    )


def _is_other_engine(one: Named, shown: Named) -> bool:
    same = (one.fingerprint, one.hash) == (shown.fingerprint, shown.hash)
    return same and one.engine != shown.engine


def _is_earlier(one: Named, shown: Named) -> bool:
    same = (one.dataset, one.hash) == (shown.dataset, shown.hash)
    return same and one.superseded and one.fingerprint != shown.fingerprint


def _choose(
    session: Session, known: Sequence[Named], wanted: BoardParameters
) -> tuple[Named | None, str | None]:
    """The board that is asked for, else the one with the newest result; and why it may be empty."""
    if wanted.dataset is None and wanted.protocol is None:
        return (known[0] if known else None), None
    dataset = wanted.dataset or (known[0].key if known else None)
    if dataset is None:
        return None, None
    of_dataset = [one for one in known if dataset in (one.key, one.fingerprint)]
    usual = of_dataset[0].protocol if of_dataset else DEFAULT_PROTOCOL
    protocol = protocol_service.find(session, wanted.protocol or usual)
    of_both = [one for one in of_dataset if one.hash == protocol.hash]
    by_engine = [one for one in of_both if one.engine == wanted.engine]
    if of_both:
        return (by_engine or of_both)[0], None
    return _empty(session, dataset, protocol)


def _empty(session: Session, dataset: str, protocol: ProtocolRow) -> tuple[Named, str | None]:
    """A board without results, and what the dataset's state has to do with it."""
    row = datasets.of_board(session, dataset)
    if row is None and dataset not in (offered := dataset_service.known(session)):
        raise UnknownName("dataset", dataset, offered)
    empty = Named(
        dataset=row.name if row else dataset,
        own_name=row.own_name if row else None,
        fingerprint=row.fingerprint or "" if row else "",
        protocol=protocol.name,
        hash=protocol.hash,
        engine=engine(),
        num_results=0,
        superseded=row is not None and row.retired_at is not None,
    )
    ready = row is None or row.state is DatasetState.READY
    if ready or row is None:
        return empty, None
    return empty, f"{row.name} is {row.state.value}: {dataset_schemas.without_paths(row.reason, row) or ''}"


def _known(session: Session, shown: Named, wanted: BoardParameters, metrics: list[str]) -> BoardParameters:
    """Without what this board cannot show; a metric that no board has is a slip."""
    if unseen := {wanted.column, *wanted.metric} - {*COLUMNS, *metrics, *DEFAULT_METRICS}:
        every = leaderboard.metrics(session, shown.fingerprint, shown.hash, shown.engine)
        elsewhere = leaderboard.known(session, unseen - every)
        for metric in sorted(unseen - every - elsewhere):
            raise UnknownName("metric", metric, [*every, *COLUMNS])
        metrics += sorted(unseen & every)
    there = tuple(metric for metric in wanted.metric if metric in metrics) or _usual(metrics)
    sortable = wanted.column in metrics or wanted.column in COLUMNS
    return replace(wanted, metric=there, sort=wanted.sort if sortable else f"-{there[0]}")


def _usual(metrics: list[str]) -> tuple[str, ...]:
    return tuple(metric for metric in DEFAULT_METRICS if metric in metrics) or (metrics[0],)


def _query(shown: Named, wanted: BoardParameters) -> BoardQuery:
    return BoardQuery(
        fingerprint=shown.fingerprint,
        protocol_hash=shown.hash,
        engine=shown.engine,
        sort=wanted.column,
        descending=wanted.descending,
        model=wanted.model,
        team=wanted.team,
        backbone=wanted.backbone,
        run=wanted.run,
        latest=wanted.latest,
    )


def _row(
    facts: Facts,
    columns: Sequence[Column],
    numbers: Mapping[UUID, Mapping[str, Number]],
    standing: Mapping[UUID, Standing],
) -> Row:
    evaluation = facts.evaluation
    mine = numbers.get(evaluation, {})
    cells = [
        figures.heat_cell(mine.get(column.metric), is_control=facts.model is None)
        if column.heat
        else figures.value_cell(mine.get(column.metric))
        for column in columns
    ]
    return Row(
        facts=facts,
        standing=standing.get(evaluation, NOWHERE),
        cells=Markup("".join(cells)),  # noqa: S704 - of numbers
    )


def _chance(columns: Sequence[Column], numbers: Mapping[UUID, Mapping[str, Number]]) -> Markup:
    """What guessing gives: the same for every row, because they answer the same videos."""
    cells = []
    for column in columns:
        scored = (mine[column.metric].chance for mine in numbers.values() if column.metric in mine)
        value = next(scored, None)
        kind = "heat" if column.heat else "value"
        cells.append(
            '<td class="none">–</td>'
            if value is None
            else f'<td class="{kind}"><span class="cell"><b>{value:.1f}</b></span></td>'
        )
    return Markup("".join(cells))  # noqa: S704 - of numbers


def _downloads(parameters: BoardParameters, num_rows: int) -> list[tuple[str, str, str]]:
    """This page's rows as JSON and CSV; more than one of each where the API gives fewer at a time."""
    found = []
    for begin in range(0, max(1, num_rows), API_PAGE):
        first, number = parameters.offset + begin, min(API_PAGE, parameters.limit - begin)
        label = f" {first + 1}–{first + min(number, num_rows - begin)}" if num_rows > API_PAGE else ""
        json, csv = (parameters.api(suffix, offset=first, limit=number) for suffix in ("", ".csv"))
        found.append((label, json, csv))
    return found
