"""Charts at addresses of their own, and badges: SVG for papers, READMEs and other pages."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Response
from sqlalchemy.orm import Session

from records.models import Evaluation, EvaluationState
from service.auth import Caller, Reader
from service.auth import reader as by_token
from service.deps import Router, SessionDep
from service.evaluations import named
from service.evaluations.schemas import shown
from service.problems import Conflict, NotFound
from service.web import comparison, models, names, svg
from service.web.evaluation import options, profile, scores_of, title
from service.web.pages import HEADERS
from vcp_core.catalog.errors import UnknownName
from vcp_core.catalog.scores import Score
from vcp_core.catalog.units import written

router = Router(include_in_schema=False, dependencies=[Depends(by_token)])
SVG_HEADERS = {**HEADERS, "Content-Security-Policy": "default-src 'none'"}


@router.get("/charts/profile.svg")
def draw_profile(session: SessionDep, reader: Reader, evaluation: str) -> Response:
    """The recall of each cloze option, beside random weights."""
    found, scores = _scores(session, evaluation, reader)
    lines = options(scores)
    if not lines:
        raise NotFound(f"Evaluation {found.id} has no cloze scores, of which a profile is made.")
    network = title(shown(found, reader=reader))
    return _answer(svg.chart(profile(lines), f"{network}: recall of each option"))


@router.get("/charts/course.svg")
def draw_course(
    session: SessionDep,
    reader: Reader,
    model: str,
    course: Annotated[int, Query(ge=0, le=10_000)] = 0,
) -> Response:
    """A model's scores over its training steps. `course` counts the runs as the model's page lists them."""
    page = models.page(session, model, models.Wanted(course=course), reader)
    if page.course is None:
        raise NotFound(f"{page.name} has no two evaluations of different steps on one board.")
    return _answer(svg.chart(page.chart, f"{page.name}: {page.course.title}"))


@router.get("/charts/log.svg")
def draw_log(
    session: SessionDep,
    reader: Reader,
    model: str,
    course: Annotated[int, Query(ge=0, le=10_000)] = 0,
) -> Response:
    """The training log beside a course, over the same steps."""
    page = models.page(session, model, models.Wanted(course=course), reader)
    if page.log is None:
        run = f" for run {page.course.run}" if page.course and page.course.run else ""
        raise NotFound(f"{page.name} has no training log{run}. Upload one: vcpbench log upload.")
    run = f", run {page.log.row.run}" if page.log.row.run else ""
    return _answer(svg.chart(page.log.chart, f"{page.name}: training log{run}"))


@router.get("/charts/runs.svg")
def draw_runs(
    session: SessionDep,
    reader: Reader,
    model: str,
    course: Annotated[int, Query(ge=0, le=10_000)] = 0,
    metric: str = "",
) -> Response:
    """All runs of a model on the board of one course, in one metric."""
    page = models.page(session, model, models.Wanted(course=course, metric=metric or None), reader)
    if page.runs is None:
        raise NotFound(f"{page.name} has no two runs on one board, one of them with two steps or more.")
    said = f"{page.name}: {names.title(page.runs.metric)} of each run, {page.runs.board}"
    return _answer(svg.chart(page.runs.chart, said))


@router.get("/charts/comparison.svg")
def draw_comparison(session: SessionDep, reader: Reader, first: str, second: str) -> Response:
    """The differences of two evaluations, paired by video."""
    page = comparison.page(session, first, second, reader)
    if page.shown.state != "done":
        raise Conflict("The comparison is not done. See its page: /compare.")
    return _answer(svg.chart(page.chart, f"{page.second_title} less {page.first_title}"))


@router.get("/badge.svg")
def draw_badge(
    session: SessionDep, reader: Reader, evaluation: str, metric: str = "recognition.top1"
) -> Response:
    """One score with its interval. `evaluation=MODEL@latest` always shows the newest."""
    _, scores = _scores(session, evaluation, reader)
    if metric not in scores:
        raise UnknownName("metric", metric, scores)
    score = scores[metric]
    value, low, high = (written(number, score.unit) for number in (score.value, score.low, score.high))
    unit = " %" if score.unit == "percent" else ""
    return _answer(svg.badge(names.title(metric), f"{value}{unit} [{low}, {high}]"))


def _scores(session: Session, wanted: str, reader: Caller | None) -> tuple[Evaluation, dict[str, Score]]:
    found = named.find(session, wanted, reader)
    if found.state is not EvaluationState.DONE:
        raise Conflict(f"Evaluation {found.id} is {found.state.value}; it has no scores.")
    return found, scores_of(session, found.id)


def _answer(picture: str) -> Response:
    return Response(picture, media_type="image/svg+xml", headers=SVG_HEADERS)
