"""The leaderboard as a page: the choice of the board, its order with ties, and its cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from uuid import UUID

from markupsafe import Markup
from sqlalchemy.orm import Session

from records.kept import Kept
from records.models import DatasetState, ProtocolRow
from records.repositories import datasets, leaderboard, leaderboard_choices, visibility
from records.repositories.leaderboard import COLUMNS
from records.repositories.leaderboard_choices import LeaderboardInfo
from records.repositories.visibility import Visibility
from service.auth import Caller
from service.datasets import service as dataset_service
from service.leaderboard.schemas import BoardRow, ControlRow
from service.leaderboard.service import KEPT_S, rows_of
from service.protocols import service as protocol_service
from service.reasons import text_for
from service.visible import visible_to
from service.web import figures, lead, names
from service.web.parameters import DEFAULT_METRICS, LeaderboardParameters
from vcp_core.catalog.defaults import DEFAULT_PROTOCOL
from vcp_core.catalog.errors import UnknownName
from vcp_core.catalog.scores import Score
from vcp_core.catalog.units import written
from vcp_core.catalog.versions import engine


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of numbers.

    Attributes:
        metric: The metric of the column.
        title: The title under the group's heading.
        heat: Whether the column belongs to the options' strip.
        falls: Whether a first click sorts the largest values first, because they are the best.
    """

    metric: str
    title: str
    heat: bool
    falls: bool


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the table: the API's row, and its scores as cells in the order of the columns."""

    facts: BoardRow | ControlRow
    cells: Markup


@dataclass(frozen=True, kw_only=True)
class LeaderboardPage:
    """The values that the template needs.

    Attributes:
        boards: Boards with results, newest first, of datasets that still have their name.
        shown: The chosen board; its `num_results` is 0 if it has no results yet.
        older: Boards of the same videos and protocol that other versions made.
        earlier: Boards under this protocol of videos that had the dataset's name before.
        why_empty: How the chosen dataset's state explains an empty board.
        parameters: The address's parameters, with the chosen dataset and protocol filled in.
        columns: The columns of scores.
        groups: The headings above the columns, each with the number of columns that it spans.
        rows: The rows of this page.
        controls: The rows of random weights and pixels.
        chance: The cells of the row of chance.
        total: Number of rows on all pages.
        lead: Which row is the best, in words, if there are several.
        choices: The teams, backbones and runs that a reader can filter by.
        metrics: The metrics that columns can show.
        in_percent: Whether all scores are percentages.
    """

    boards: list[LeaderboardInfo]
    shown: LeaderboardInfo
    older: list[LeaderboardInfo]
    earlier: list[LeaderboardInfo]
    why_empty: str | None
    parameters: LeaderboardParameters
    columns: tuple[Column, ...]
    groups: list[tuple[str, int]]
    rows: list[Row]
    controls: list[Row]
    chance: Markup
    total: int
    lead: str | None
    choices: dict[str, list[str]]
    metrics: list[str]
    in_percent: bool


def show(session: Session, wanted: LeaderboardParameters, reader: Caller | None) -> LeaderboardPage | None:
    """Make the page of a board for a reader; None if the reader sees no results and named no dataset.

    Raises:
        UnknownName: If there is no such dataset, protocol or metric.
    """
    visible = visibility.cache_key(session, visible_to(reader))
    known = leaderboard_choices.list_leaderboards(session, visible)
    shown, why_empty = _choose(session, known, wanted)
    if shown is None:
        return None
    parameters = replace(wanted, dataset=shown.key, protocol=shown.protocol)
    parameters = replace(parameters, engine=shown.engine if shown.older else None)
    offered, choices = _offered(session, shown, visible)
    metrics = dict(offered)
    if metrics:
        parameters = _known(session, shown, visible, parameters, metrics)
    columns = tuple(
        Column(
            metric=metric,
            title=names.short(metric),
            heat=metric in names.OPTION_METRICS,
            falls=metrics.get(metric) != "lower",
        )
        for metric in parameters.metric
    )
    query = parameters.query(shown.board, visible)
    found = rows_of(session, query, (shown.num_results, shown.newest))
    everyone: list[BoardRow | ControlRow] = [*found.rows, *found.controls]
    scores = [score for row in everyone for score in row.scores.values()]
    return LeaderboardPage(
        boards=[one for one in known if not one.superseded],
        shown=shown,
        older=[one for one in known if _is_other_engine(one, shown)],
        earlier=[one for one in known if _is_earlier(one, shown)],
        why_empty=why_empty,
        parameters=parameters,
        columns=columns,
        groups=[(title, len(list(of))) for title, of in groupby(names.group(c.metric) for c in columns)],
        rows=[_row(row, columns) for row in found.rows],
        controls=[_row(row, columns) for row in found.controls],
        chance=_chance(columns, scores),
        total=found.total,
        lead=None if parameters.offset else lead.sentence(found.rows, parameters.column, found.total),
        choices=choices,
        metrics=sorted(metrics),
        in_percent=all(score.unit == "percent" for score in scores),
    )


# What a board offers to choose from changes when a result comes or goes, or a run is declared later.
OFFERED = Kept[tuple[LeaderboardInfo, Visibility], tuple[dict[str, str], dict[str, list[str]]]](
    64, seconds=KEPT_S
)


def _offered(
    session: Session, shown: LeaderboardInfo, visible: Visibility
) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Metrics for the columns, each with the better direction; and teams, backbones and runs to filter by."""
    if not shown.num_results:
        return {}, {}
    offered = OFFERED.get((shown, visible))
    if offered is None:
        offered = (
            leaderboard_choices.newest_metrics(session, shown.board, visible),
            leaderboard_choices.choices(session, shown.board, visible),
        )
        OFFERED.put((shown, visible), offered)
    return offered


def _is_other_engine(one: LeaderboardInfo, shown: LeaderboardInfo) -> bool:
    same = (one.fingerprint, one.hash) == (shown.fingerprint, shown.hash)
    return same and one.engine != shown.engine


def _is_earlier(one: LeaderboardInfo, shown: LeaderboardInfo) -> bool:
    same = (one.dataset, one.hash) == (shown.dataset, shown.hash)
    return same and one.superseded and one.fingerprint != shown.fingerprint


def _choose(
    session: Session, known: Sequence[LeaderboardInfo], wanted: LeaderboardParameters
) -> tuple[LeaderboardInfo | None, str | None]:
    """Choose the named board, or else the one with the newest result. Also say why it is empty, if it is."""
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


def _empty(session: Session, dataset: str, protocol: ProtocolRow) -> tuple[LeaderboardInfo, str | None]:
    """Make a board without results. Also give the dataset's state as the reason, if that is one."""
    row = datasets.of_leaderboard(session, dataset)
    if row is None and dataset not in (offered := dataset_service.known(session)):
        raise UnknownName("dataset", dataset, offered)
    empty = LeaderboardInfo(
        dataset=row.name if row else dataset,
        own_name=row.own_name if row else None,
        fingerprint=row.fingerprint or "" if row else "",
        protocol=protocol.name,
        hash=protocol.hash,
        engine=engine(),
        num_results=0,
        newest=None,
        superseded=row is not None and row.retired_at is not None,
    )
    ready = row is None or row.state is DatasetState.READY
    if ready or row is None:
        return empty, None
    return empty, f"{row.name} is {row.state.value}: {text_for(row.reason, None, row) or ''}"


def _known(
    session: Session,
    shown: LeaderboardInfo,
    visible: Visibility,
    wanted: LeaderboardParameters,
    metrics: dict[str, str],
) -> LeaderboardParameters:
    """Drop columns that this board cannot show. Older metrics of the board are added to `metrics`.

    Raises:
        UnknownName: If no board has a metric.
    """
    if unseen := {wanted.column, *wanted.metric} - {*COLUMNS, *metrics, *DEFAULT_METRICS}:
        every = leaderboard_choices.all_metrics(session, shown.board, visible)
        elsewhere = leaderboard_choices.known(session, unseen - every.keys(), visible)
        for metric in sorted(unseen - every.keys() - elsewhere):
            raise UnknownName("metric", metric, [*every, *COLUMNS])
        metrics |= {metric: every[metric] for metric in unseen & every.keys()}
    there = tuple(metric for metric in wanted.metric if metric in metrics) or _usual(metrics)
    sortable = wanted.column in metrics or wanted.column in COLUMNS
    best_first = there[0] if metrics[there[0]] == "lower" else f"-{there[0]}"
    return replace(wanted, metric=there, sort=wanted.sort if sortable else best_first)


def _usual(metrics: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(metric for metric in DEFAULT_METRICS if metric in metrics) or (min(metrics),)


# A finished evaluation's cells in the same columns never change either: docs/decisions/2026-11-28-board.md.
KEPT = Kept[tuple[UUID, tuple[Column, ...]], Markup](4096)  # rows; 3 kB each with the usual columns


def _row(row: BoardRow | ControlRow, columns: tuple[Column, ...]) -> Row:
    key = row.evaluation, columns
    cells = KEPT.get(key)
    if cells is None:
        cells = _cells(row, columns)
        if len(columns) <= leaderboard.MOST_KEPT_METRICS:
            KEPT.put(key, cells)
    return Row(facts=row, cells=cells)


def _cells(row: BoardRow | ControlRow, columns: tuple[Column, ...]) -> Markup:
    is_control = isinstance(row, ControlRow)
    cells = [
        figures.heat_cell(row.scores.get(column.metric), is_control=is_control)
        if column.heat
        else figures.value_cell(row.scores.get(column.metric))
        for column in columns
    ]
    return Markup("".join(cells))  # noqa: S704 - of numbers


def _chance(columns: Sequence[Column], scores: Iterable[Score]) -> Markup:
    """Write the cells of chance, which is the same for all rows, because all answer the same videos."""
    by_metric = {score.metric: score for score in scores}
    chances = {metric: written(score.chance, score.unit) for metric, score in by_metric.items()}
    cells = []
    for column in columns:
        kind, value = "heat" if column.heat else "value", chances.get(column.metric)
        cells.append(
            f'<td class="{kind}"><span class="cell"><b>{value}</b></span></td>'
            if value
            else '<td class="none">–</td>'
        )
    return Markup("".join(cells))  # noqa: S704 - of numbers
