"""The page of a model: its checkpoints, and their scores over the course of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from records.models import Checkpoint, Evaluation, EvaluationState, Model
from records.repositories import aliases, checkpoints, datasets, evaluations, leaderboard
from records.repositories import names as model_names
from service.auth import Caller, is_of
from service.checkpoints.named import Among
from service.evaluations.schemas import EvaluationOut, shown
from service.problems import NotFound
from service.references import Latest
from service.web import evaluation, names
from service.web.evaluation import OptionLine
from vcp_core.catalog.scores import Score
from vcp_core.catalog.validation import quoted

DETAILS = (
    "cloze.spatial",
    "cloze.temporal",
)  # of the chart; hidden until a reader presses their buttons
METRICS = ("recognition.top1", "retrieval.top1", "cloze.accuracy", *DETAILS)
MOST = 500  # checkpoints and evaluations of a page
Numbers = Mapping[UUID, Mapping[str, Score]]


@dataclass(frozen=True, kw_only=True)
class Course:
    """A training run's checkpoints on one board, by step.

    Attributes:
        fingerprint: Fingerprint of the videos.
        protocol: Name of the protocol.
        run: Name of the training run.
        dataset: Name of the dataset when it had these videos.
        superseded: Whether other videos may have this name now.
        engine: The engine that made the results.
        older: Whether another version of vcpbench made the results.
    """

    fingerprint: str | None
    protocol: str
    run: str | None
    dataset: str = field(compare=False)
    superseded: bool
    engine: str
    older: bool

    @property
    def title(self) -> str:
        """In words."""
        videos = f" (superseded videos {self.fingerprint:.8})" if self.superseded else ""
        older = " (by an older version)" if self.older else ""
        return f"{self.dataset}{videos}, {self.protocol}{older}" + (f", run {self.run}" if self.run else "")


@dataclass(frozen=True, kw_only=True)
class Newest:
    """The evaluation that ended last, and its profile. Without a cloze benchmark, `options` is empty."""

    evaluation: Evaluation
    options: list[OptionLine]
    profile: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Page:
    """A model's page.

    Attributes:
        team: The team that owns the model.
        name: Name of the model.
        checkpoints: The newest checkpoints, newest first.
        num_checkpoints: Number of all its checkpoints.
        evaluations: The newest evaluations, newest first, as the API shows them to this reader.
        num_evaluations: Number of all its evaluations.
        numbers: Scores of the finished evaluations, by evaluation and metric.
        metrics: Metrics that any finished evaluation has.
        superseded: Fingerprints whose videos have lost their name.
        newest: The newest result; None if no evaluation is finished.
        courses: Runs with two steps or more, the newest first.
        course: The course that the chart shows.
        chart: Chart of `course`.
        tags: Its tags.
        former_names: Names that it had before.
        aliases: Aliases that point at the checkpoints, by checkpoint.
        may_change: Whether the reader may rename and tag it.
    """

    team: str
    name: str
    checkpoints: Sequence[Checkpoint]
    num_checkpoints: int
    evaluations: Sequence[EvaluationOut]
    num_evaluations: int
    numbers: Numbers
    metrics: list[str]
    superseded: set[str]
    newest: Newest | None
    courses: list[Course]
    course: Course | None
    chart: dict[str, Any]
    tags: Sequence[str]
    former_names: Sequence[str]
    aliases: Mapping[UUID, Sequence[str]]
    may_change: bool


def page(session: Session, path: str, wanted: int, reader: Caller | None) -> Page:
    """Make the page of the model at `TEAM/NAME`. Its chart shows the course with the index `wanted`.

    Raises:
        NotFound: If there is no such model.
    """
    model = _named(session, path, reader)
    team, name = model.team, model.name
    among = Among.seen_by(reader).where
    owned, num_checkpoints = checkpoints.page(session, among=among, model=name, team=team, limit=MOST)
    found, num_evaluations = evaluations.page(session, model=name, team=team, limit=MOST)
    done = [one for one in found if one.state is EvaluationState.DONE]
    numbers = leaderboard.scores(session, [one.id for one in done], METRICS)
    superseded = datasets.superseded(session, [one.dataset.fingerprint for one in found])
    ordered = _by_course(done, superseded)
    courses = [course for course, members in ordered.items() if len({_step(one) for one in members}) > 1]
    course = courses[min(wanted, len(courses) - 1)] if courses else None
    return Page(
        team=team,
        name=name,
        checkpoints=owned,
        num_checkpoints=num_checkpoints,
        evaluations=[shown(one, reader=reader) for one in found],
        num_evaluations=num_evaluations,
        numbers=numbers,
        metrics=[metric for metric in METRICS if any(metric in mine for mine in numbers.values())],
        superseded=superseded,
        newest=_newest(session, done),
        courses=courses,
        course=course,
        chart=_chart(ordered[course], numbers) if course else {},
        tags=model_names.tags(session, [model.id]).get(model.id, []),
        former_names=model_names.former(session, [model.id]).get(model.id, []),
        aliases=aliases.of_checkpoints(session, [one.id for one in owned]),
        may_change=is_of(team, reader),
    )


def _named(session: Session, path: str, reader: Caller | None) -> Model:
    """Find the model at `TEAM/NAME`. Either may hold slashes, so one query looks up every split."""
    found = checkpoints.first_model(session, Latest(model=path).teams, Among.seen_by(reader).where)
    if found is None:
        raise NotFound(f"No model {quoted(path)}; a model's name comes with its first checkpoint.")
    return found


def _newest(session: Session, done: Sequence[Evaluation]) -> Newest | None:
    last = max(done, key=lambda one: one.finished_at or one.created_at, default=None)
    if last is None:
        return None
    lines = evaluation.options(evaluation.scores_of(session, last.id))
    return Newest(evaluation=last, options=lines, profile=evaluation.profile(lines))


def _step(one: Evaluation) -> int:
    assert one.checkpoint.step is not None
    return one.checkpoint.step


def _by_course(done: Sequence[Evaluation], superseded: set[str]) -> dict[Course, list[Evaluation]]:
    """Evaluations with a step, by course and then by step."""
    found: dict[Course, list[Evaluation]] = {}
    for one in done:
        if one.checkpoint.step is None:
            continue
        course = Course(
            fingerprint=one.dataset.fingerprint,
            protocol=one.protocol.name,
            run=one.checkpoint.run,
            dataset=one.dataset.name,
            superseded=one.dataset.fingerprint in superseded,
            engine=one.engine,
            older=one.older,
        )
        found.setdefault(course, []).append(one)
    return {course: sorted(members, key=_step) for course, members in found.items()}


def _chart(ordered: Sequence[Evaluation], numbers: Numbers) -> dict[str, Any]:
    """Make the chart's data: a line for each metric, with points [step, low, value, high]."""
    series = []
    for metric in METRICS:
        scored = [(_step(one), numbers.get(one.id, {}).get(metric)) for one in ordered]
        points = [[step, number.low, number.value, number.high] for step, number in scored if number]
        if points:
            series.append({"name": names.title(metric), "points": points})
    off = [names.title(metric) for metric in DETAILS]
    return {"kind": "lines", "x": "training step", "series": series, "off": off}
