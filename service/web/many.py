"""Many evaluations as a page: against a baseline, as small multiples, and in all pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from sqlalchemy.orm import Session

from records.repositories import datasets, leaderboard
from service.auth import Caller, Reader
from service.auth import reader as by_token
from service.comparisons import many
from service.comparisons.many import Found
from service.comparisons.many_schemas import ManyOut
from service.deps import Router, SessionDep
from service.evaluations.schemas import CheckpointRef, EvaluationOut
from service.web import multiples, names
from service.web.comparison import TESTS
from service.web.evaluation import options, title
from service.web.figures import difference_level
from service.web.pages import render
from vcp_core.catalog import units
from vcp_core.catalog.protocols import Protocol
from vcp_core.catalog.scores import Score
from vcp_core.results.diagnosis import too_few
from vcp_core.scoring.comparison import AdjustedDifference, adjusted
from vcp_core.scoring.stored_many import Matrix, Pair

MOST_LINES = 1000  # of the table of differences; the JSON has all
FACTS: Mapping[str, Callable[[CheckpointRef], Any]] = {  # columns, if the evaluations differ in them
    "Team": lambda one: one.team,
    "Backbone": lambda one: one.backbone,
    "Run": lambda one: one.run,
    "Step": lambda one: one.step,
    "Form": lambda one: one.variant,
    "Input": lambda one: one.input_spec,
    "Network": lambda one: one.prefix,
}
HTTP_PARTS = {"Cache-Control": "no-store"}
router = Router(include_in_schema=False, dependencies=[Depends(by_token)])


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The view that an address asks for.

    Attributes:
        evaluation: The evaluations.
        baseline: One of them; the first if left out.
        metric: The metric of the matrix; the first headline metric if left out.
        equal: Whether tables also show what does not differ.
        every: Whether tables show all metrics, and not only the headline ones and the options'.
    """

    evaluation: tuple[str, ...]
    baseline: str | None = None
    metric: str | None = None
    equal: bool = False
    every: bool = False

    def address(self, path: str = "/compare", **changes: Any) -> str:
        """The address of a part or of the page after these changes. Defaults are left out."""
        changed = replace(self, **changes)
        pairs = [("evaluation", one) for one in changed.evaluation]
        pairs += [(name, value) for name in ("baseline", "metric") if (value := getattr(changed, name))]
        pairs += [(name, "true") for name in ("equal", "every") if getattr(changed, name)]
        return f"{path}?{urlencode(pairs)}"


def _wanted(
    evaluation: Annotated[list[str] | None, Query()] = None,
    baseline: str = "",
    metric: str = "",
    equal: bool = False,
    every: bool = False,
) -> Wanted:
    """Drop empty values: a browser sends every field of a form, and an empty one means the default."""
    return Wanted(
        evaluation=tuple(evaluation or ()),
        baseline=baseline or None,
        metric=metric or None,
        equal=equal,
        every=every,
    )


WantedDep = Annotated[Wanted, Depends(_wanted)]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One evaluation in one metric against the baseline, with its verdict after Holm's method."""

    row: Row
    number: AdjustedDifference
    verdict: str


@dataclass(frozen=True, kw_only=True)
class Told:
    """How many evaluations are better than the baseline in a metric, and how many are worse."""

    metric: str
    num_better: int
    num_worse: int


@dataclass(frozen=True, kw_only=True)
class Row:
    """One evaluation.

    Attributes:
        place: Its number on the page, from 1.
        shown: The evaluation.
        title: Its network.
        facts: The facts that differ between the evaluations, in words.
        is_baseline: Whether the others are compared with it.
        notes: Sentences about videos that only one of the two answered.
    """

    place: int
    shown: EvaluationOut
    title: str
    facts: list[str]
    is_baseline: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of the matrix: the row's evaluation less the column's; None of both on the diagonal."""

    pair: Pair | None
    p_adjusted: float = 1.0
    verdict: str = "open"
    level: str = ""


@dataclass(frozen=True, kw_only=True)
class Page:
    """The page of many evaluations.

    Attributes:
        shown: State and progress of the comparison.
        wanted: The view.
        superseded: Whether another dataset has the name of the videos now.
        rows: The evaluations, in the order of the address.
        facts: Names of the facts that differ.
        metrics: The metrics of the columns.
        cells: For each evaluation but the baseline, its lines by metric.
        scores: Scores of the baseline.
        lines: Lines of the table of differences.
        num_lines: Number of lines before `MOST_LINES` cut them.
        num_open: Number of lines that do not differ.
        told: The headline metrics in which an evaluation differs from the baseline.
        profiles: Pictures of the recall of each option, by evaluation.
        matrix: The metric of the matrix; None if no headline metric is common.
        matrix_metrics: Metrics that have a matrix.
        matrix_rows: Its cells.
        num_pairs: Number of pairs of the matrix.
        num_different: Number of pairs that differ.
        percent: The level of intervals, such as 95.
    """

    shown: ManyOut
    wanted: Wanted
    superseded: bool
    rows: list[Row]
    facts: list[str]
    metrics: list[str]
    cells: dict[UUID, dict[str, Line]]
    scores: Mapping[str, Score]
    lines: list[Line]
    num_lines: int
    num_open: int
    told: Sequence[Told]
    profiles: dict[UUID, str]
    matrix: Matrix | None
    matrix_metrics: list[str]
    matrix_rows: list[list[Cell]]
    num_pairs: int
    num_different: int
    percent: float

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.shown.state in ("done", "failed")

    @property
    def baseline(self) -> Row:
        """The baseline."""
        return next(row for row in self.rows if row.is_baseline)


def show(request: Request, session: Session, wanted: Wanted, reader: Caller | None) -> Response:
    """The page of many evaluations."""
    made = page(session, wanted, reader)
    return render(request, "compare_many.html", page=made, tests=TESTS, fine=fine, level=difference_level)


@router.get("/compare/many/progress")
def show_progress(request: Request, reader: Reader, session: SessionDep, wanted: WantedDep) -> Response:
    """The part of an unfinished comparison's page that changes; at its end, the page is loaded anew."""
    made = page(session, wanted, reader)
    headers = {**HTTP_PARTS, **({"HX-Refresh": "true"} if made.ended else {})}
    return render(request, "_comparing_many.html", headers=headers, page=made)


def page(session: Session, wanted: Wanted, reader: Caller | None) -> Page:
    """Make the page that compares many evaluations with a baseline.

    Raises:
        As `service.comparisons.many.ask`.
    """
    found = many.ask(session, wanted.evaluation, wanted.baseline, reader)
    shown = many.progress(session, found, reader)
    rows, facts = _rows(found, shown)
    wanted = replace(
        wanted,
        evaluation=tuple(str(one) for one in found.chosen.ids),
        baseline=str(found.chosen.baseline.id),
    )
    level = Protocol.model_validate(found.chosen.baseline.protocol.content).interval.level
    every = _lines(found, rows, level)
    kept = [line for line in every if wanted.every or _is_main(line)]
    different = [line for line in kept if line.verdict != "open"]
    chosen = kept if wanted.equal else different
    columns = {
        line.number.metric for line in every if _is_main(line) and (wanted.equal or line.verdict != "open")
    }
    order = list(dict.fromkeys(_ordered(every)))
    scores = leaderboard.scores(session, found.chosen.ids, order) if found.many else {}
    matrix = _chosen_matrix(found, wanted.metric)
    cells = _matrix_rows(found, matrix, level) if matrix else []
    return Page(
        shown=shown,
        wanted=wanted,
        superseded=bool(datasets.superseded(session, [found.chosen.baseline.dataset.fingerprint])),
        rows=rows,
        facts=facts,
        metrics=[metric for metric in order if metric in columns],
        cells=_by_evaluation(every),
        scores=scores.get(found.chosen.baseline.id, {}),
        lines=chosen[:MOST_LINES],
        num_lines=len(chosen),
        num_open=len(kept) - len(different),
        told=_told(every),
        profiles=_profiles(rows, scores, _by_evaluation(every)),
        matrix=matrix,
        matrix_metrics=[one.metric for one in found.many.matrices] if found.many else [],
        matrix_rows=cells,
        num_pairs=len(matrix.pairs) if matrix else 0,
        num_different=sum(cell.verdict != "open" for line in cells for cell in line) // 2,
        percent=100 * level,
    )


def _rows(found: Found, shown: ManyOut) -> tuple[list[Row], list[str]]:
    """A row for each evaluation, and the facts in which they differ."""
    checkpoints = [one.checkpoint for one in shown.evaluations]
    facts = {
        name: texts
        for name, read in FACTS.items()
        if len(set(texts := ["" if read(one) is None else str(read(one)) for one in checkpoints])) > 1
    }
    rows = [
        Row(
            place=place + 1,
            shown=one,
            title=title(one),
            facts=[texts[place] for texts in facts.values()],
            is_baseline=one.id == shown.baseline,
            notes=found.with_baseline[one.id].notes if one.id in found.with_baseline else (),
        )
        for place, one in enumerate(shown.evaluations)
    ]
    return rows, list(facts)


def _lines(found: Found, rows: Sequence[Row], level: float) -> list[Line]:
    """Every evaluation but the baseline in every metric, in the order of the page."""
    by_id = {str(row.shown.id): row for row in rows}
    numbers = adjusted({str(one): content.differences for one, content in found.with_baseline.items()})
    return [
        Line(row=by_id[one], number=number, verdict=_verdict(number, number.better, number.p_adjusted, level))
        for one, differences in numbers.items()
        for number in differences
    ]


def _verdict(number: AdjustedDifference | Pair, better: units.Better, p_adjusted: float, level: float) -> str:
    """Say better, worse or open, by Holm's p-value. With few groups or videos, the verdict is open."""
    if p_adjusted >= 1 - level or too_few(number):
        return "open"
    side = units.verdict(number.difference, number.difference, better)
    return {1: "better", 0: "open", -1: "worse"}[side]


def _is_main(line: Line) -> bool:
    return line.number.headline or line.number.metric in names.OPTION_METRICS


def _ordered(lines: Iterable[Line]) -> list[str]:
    """Metrics of the columns: the headline ones, then the options'."""
    mine = list(lines)
    headline = [line.number.metric for line in mine if line.number.headline]
    return [*headline, *names.OPTION_METRICS]


def _by_evaluation(lines: Iterable[Line]) -> dict[UUID, dict[str, Line]]:
    found: dict[UUID, dict[str, Line]] = {}
    for line in lines:
        found.setdefault(line.row.shown.id, {})[line.number.metric] = line
    return found


def _told(lines: Iterable[Line]) -> list[Told]:
    """Count verdicts by headline metric. One count over all metrics would be outside Holm's families."""
    counts: dict[str, Counter[str]] = {}
    for line in lines:
        if line.number.headline:
            counts.setdefault(line.number.metric, Counter())[line.verdict] += 1
    return [
        Told(metric=metric, num_better=count["better"], num_worse=count["worse"])
        for metric, count in counts.items()
        if count["better"] or count["worse"]
    ]


def _profiles(
    rows: Sequence[Row],
    scores: Mapping[UUID, Mapping[str, Score]],
    cells: Mapping[UUID, Mapping[str, Line]],
) -> dict[UUID, str]:
    """The recall of each option, drawn for each evaluation that has a cloze benchmark."""
    base = next((scores.get(row.shown.id, {}) for row in rows if row.is_baseline), {})
    found: dict[UUID, str] = {}
    for row in rows:
        recalls = [line.recall for line in options(scores.get(row.shown.id, {}))]
        if recalls:
            verdicts = {name: line.verdict for name, line in cells.get(row.shown.id, {}).items()}
            found[row.shown.id] = multiples.profile(recalls, {} if row.is_baseline else base, verdicts)
    return found


def _chosen_matrix(found: Found, metric: str | None) -> Matrix | None:
    """The matrix of the metric, or the first one."""
    matrices = found.many.matrices if found.many else ()
    return next((one for one in matrices if one.metric == metric), matrices[0] if matrices else None)


def _matrix_rows(found: Found, matrix: Matrix, level: float) -> list[list[Cell]]:
    """Cells of the matrix in the order of the page: the row's evaluation less the column's."""
    assert found.many is not None
    places = {one: place for place, one in enumerate(found.many.evaluations)}
    cells: dict[tuple[int, int], Cell] = {}
    for pair, p_adjusted in zip(matrix.pairs, matrix.adjusted(), strict=True):
        for one in (pair, pair.swapped):  # a pair is second less first
            verdict = _verdict(one, matrix.better, p_adjusted, level)
            colour = difference_level(one.difference, verdict, matrix.unit)
            cells[one.second, one.first] = Cell(
                pair=one, p_adjusted=p_adjusted, verdict=verdict, level=colour
            )
    ids = [places[str(one)] for one in found.chosen.ids]
    return [[cells.get((row, column), Cell(pair=None)) for column in ids] for row in ids]


def fine(value: float) -> str:
    """Write a p-value that many others are compared with: small ones keep two digits.

    >>> fine(0.2345), fine(0.00001234), fine(0.0)
    ('0.234', '1.2e-5', '0')
    """
    if value >= 0.001 or value == 0:
        return f"{value:.3f}" if value else "0"
    digits, _, power = f"{value:.1e}".partition("e")
    return f"{digits}e{int(power)}"
