"""A model as a page: its checkpoints, and what they scored over the course of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from records.models import Checkpoint, Evaluation, EvaluationState
from records.repositories import board, checkpoints, evaluations
from records.repositories.board import Number
from service.auth import Caller
from service.problems import NotFound
from service.web import names

DETAILS = ("cloze.spatial", "cloze.temporal")  # of the chart; a click on the legend shows them
METRICS = ("recognition.top1", "retrieval.top1", "cloze.accuracy", *DETAILS)
MOST = 500  # checkpoints and evaluations of a page
Numbers = Mapping[UUID, Mapping[str, Number]]


@dataclass(frozen=True, kw_only=True)
class Course:
    """A training run's checkpoints on one board, by step."""

    dataset: str
    protocol: str
    run: str | None

    @property
    def title(self) -> str:
        """In words."""
        return f"{self.dataset}, {self.protocol}" + (f", run {self.run}" if self.run else "")


@dataclass(frozen=True, kw_only=True)
class Page:
    """A model's page.

    Attributes:
        team: Whose it is.
        name: Its name.
        checkpoints: Newest first.
        num_checkpoints: In all.
        evaluations: Newest first.
        num_evaluations: In all.
        numbers: Of the finished ones, by evaluation and metric.
        metrics: Columns that any of them has.
        courses: Runs with two steps or more, the newest first.
        course: The one that the chart shows.
        chart: Of it.
    """

    team: str
    name: str
    checkpoints: Sequence[Checkpoint]
    num_checkpoints: int
    evaluations: Sequence[Evaluation]
    num_evaluations: int
    numbers: Numbers
    metrics: list[str]
    courses: list[Course]
    course: Course | None
    chart: dict[str, Any]


def page(session: Session, path: str, wanted: int, reader: Caller | None) -> Page:
    """All of the model at `TEAM/NAME`; the chart shows the course of that place.

    Raises:
        NotFound: If there is none.
    """
    team, name = _named(session, path, reader)
    owned, num_checkpoints = _checkpoints(session, team, name, reader, MOST)
    found, num_evaluations = evaluations.page(
        session,
        state=None,
        model=name,
        team=team,
        dataset=None,
        protocol=None,
        checkpoint_id=None,
        limit=MOST,
        offset=0,
    )
    done = [one for one in found if one.state is EvaluationState.DONE]
    numbers = board.numbers(session, [one.id for one in done], METRICS)
    courses = _courses(done)
    course = courses[min(wanted, len(courses) - 1)] if courses else None
    return Page(
        team=team,
        name=name,
        checkpoints=owned,
        num_checkpoints=num_checkpoints,
        evaluations=found,
        num_evaluations=num_evaluations,
        numbers=numbers,
        metrics=[metric for metric in METRICS if any(metric in mine for mine in numbers.values())],
        courses=courses,
        course=course,
        chart=_chart(done, course, numbers) if course else {},
    )


def _checkpoints(
    session: Session, team: str, name: str, reader: Caller | None, limit: int
) -> tuple[Sequence[Checkpoint], int]:
    return checkpoints.page(
        session,
        model=name,
        team=team,
        limit=limit,
        offset=0,
        seen_by=reader.team if reader else None,
        by_admin=bool(reader and reader.admin),
    )


def _named(session: Session, path: str, reader: Caller | None) -> tuple[str, str]:
    """The team and the name; either may hold slashes."""
    parts = path.split("/")
    for place in range(1, len(parts)):
        team, name = "/".join(parts[:place]), "/".join(parts[place:])
        if _checkpoints(session, team, name, reader, 1)[0]:
            return team, name
    raise NotFound(f"No model {path!r}; a model's name comes with its first checkpoint.")


def _course(evaluation: Evaluation) -> Course:
    return Course(
        dataset=evaluation.dataset.name, protocol=evaluation.protocol.name, run=evaluation.checkpoint.run
    )


def _courses(done: Sequence[Evaluation]) -> list[Course]:
    steps: dict[Course, set[int]] = {}
    for evaluation in done:
        if evaluation.checkpoint.step is not None:
            steps.setdefault(_course(evaluation), set()).add(evaluation.checkpoint.step)
    return [course for course, found in steps.items() if len(found) > 1]


def _chart(done: Sequence[Evaluation], course: Course, numbers: Numbers) -> dict[str, Any]:
    """A line for every metric; a point is [step, low, value, high]."""
    ordered = sorted(
        (one for one in done if _course(one) == course and one.checkpoint.step is not None),
        key=lambda one: one.checkpoint.step or 0,
    )
    series = []
    for metric in METRICS:
        scored = [(one.checkpoint.step, numbers.get(one.id, {}).get(metric)) for one in ordered]
        points = [[step, number.low, number.value, number.high] for step, number in scored if number]
        if points:
            series.append({"name": names.title(metric), "points": points})
    off = [names.title(metric) for metric in DETAILS]
    return {"kind": "lines", "x": "training step", "series": series, "off": off}
