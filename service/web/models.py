"""The page of a model: its checkpoints, and their scores over the course of training."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from records.models import Checkpoint, CheckpointState, Evaluation, EvaluationState, LogRow, Model
from records.repositories import aliases, checkpoints, datasets, evaluations, leaderboard, logs
from records.repositories import names as model_names
from service.auth import Caller, is_of
from service.checkpoints.named import Among
from service.evaluations.schemas import EvaluationOut, shown
from service.problems import NotFound
from service.references import Latest
from service.web import courses, evaluation
from service.web.courses import METRICS, Course, Courses, Numbers
from service.web.evaluation import OptionLine
from vcp_core.catalog.errors import UnknownName
from vcp_core.catalog.validation import quoted

MOST = 500  # checkpoints and evaluations of a page
MOST_TWINS = 1000  # files with the SHA-256 of any checkpoint of a page


@dataclass(frozen=True, kw_only=True)
class Newest:
    """The evaluation that ended last, and its profile. Without a cloze benchmark, `options` is empty."""

    evaluation: Evaluation
    options: list[OptionLine]
    profile: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Several runs on one board in one picture.

    Attributes:
        board: The board in words.
        metric: The metric of the picture.
        metrics: The metrics that it could show.
        chart: The picture.
        num_runs: Number of runs on the board.
        num_shown: Number of runs in the picture, the newest.
    """

    board: str
    metric: str
    metrics: list[str]
    chart: dict[str, Any]
    num_runs: int
    num_shown: int


@dataclass(frozen=True, kw_only=True)
class Twin:
    """Another model, or another step of this one, whose file has the same SHA-256."""

    checkpoint: UUID
    team: str
    model: str
    run: str | None
    step: int | None


@dataclass(frozen=True, kw_only=True)
class Log:
    """The training log beside a course.

    Attributes:
        row: The log.
        chart: Its curves over the same steps.
        rows_of_a_point: How many rows each point averages.
    """

    row: LogRow
    chart: dict[str, Any]
    rows_of_a_point: int


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a reader chose on a model's page.

    Attributes:
        course: Index of the course that the chart shows.
        metric: The metric in which several runs are shown; the first that they have if left out.
    """

    course: int = 0
    metric: str | None = None


@dataclass(frozen=True, kw_only=True)
class Page:
    """A model's page.

    Attributes:
        team: The team that owns the model.
        name: Name of the model.
        checkpoints: The newest checkpoints, by run and step.
        num_checkpoints: Number of all its checkpoints.
        evaluations: The newest evaluations by run and step, as the API shows them to this reader. Of one
            step, the newest stands first.
        num_evaluations: Number of all its evaluations.
        numbers: Scores of the finished evaluations, by evaluation and metric.
        metrics: Metrics that any finished evaluation has.
        superseded: Fingerprints whose videos have lost their name.
        newest: The newest result; None if no evaluation is finished.
        courses: Runs with two steps or more, the newest first.
        course: The course that the chart shows.
        chart: Chart of `course`.
        runs: All runs on the board of `course`; None if there is only one.
        log: The training log of the run of `course`; without a course, the log uploaded last.
        twins: Others with the same file, by checkpoint.
        tags: Its tags.
        former_names: Names that it had before.
        private: Whether only its team and administrators see it.
        aliases: Aliases that point at the checkpoints, by checkpoint.
        may_change: Whether the reader may rename and tag it, and say who sees it.
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
    runs: Runs | None
    log: Log | None
    twins: Mapping[UUID, Sequence[Twin]]
    tags: Sequence[str]
    former_names: Sequence[str]
    private: bool
    aliases: Mapping[UUID, Sequence[str]]
    may_change: bool

    @property
    def log_command(self) -> str:
        """The command that uploads a training log for `course`."""
        run = ["--run", self.course.run] if self.course and self.course.run else []
        return shlex.join(
            ["vcpbench", "log", "upload", "log.csv", "--model", f"{self.team}/{self.name}", *run]
        )


def page(session: Session, path: str, wanted: Wanted, reader: Caller | None) -> Page:
    """Make the page of the model at `TEAM/NAME`.

    Raises:
        NotFound: If there is no such model.
        UnknownName: If no run has the wanted metric.
    """
    model = _named(session, path, reader)
    team, name = model.team, model.name
    among = Among.seen_by(reader)
    owned, num_checkpoints = checkpoints.page(session, among=among.where, model=name, team=team, limit=MOST)
    found, num_evaluations = evaluations.page(
        session, visible=among.visible, model=name, team=team, limit=MOST
    )
    done = [one for one in found if one.state is EvaluationState.DONE]
    numbers = leaderboard.scores(session, [one.id for one in done], METRICS)
    superseded = datasets.superseded(session, [one.dataset.fingerprint for one in found])
    ordered = courses.by_course(done, superseded)
    listed = [course for course, members in ordered.items() if len(members) > 1]
    course = listed[min(wanted.course, len(listed) - 1)] if listed else None
    members = ordered[course] if course else []
    log = _log(session, model, course, members)
    steps = courses.ends(members, log.row.steps) if log else None
    return Page(
        team=team,
        name=name,
        checkpoints=sorted(owned, key=courses.by_run_and_step),
        num_checkpoints=num_checkpoints,
        evaluations=[
            shown(one, reader=reader) for one in sorted(found, key=courses.evaluated_by_run_and_step)
        ],
        num_evaluations=num_evaluations,
        numbers=numbers,
        metrics=[metric for metric in METRICS if any(metric in mine for mine in numbers.values())],
        superseded=superseded,
        newest=_newest(session, done),
        courses=listed,
        course=course,
        chart=courses.chart(members, numbers, steps) if course else {},
        runs=_runs(ordered, course, numbers, wanted.metric) if course else None,
        log=log,
        twins=_twins(session, owned, among),
        tags=model_names.tags(session, [model.id]).get(model.id, []),
        former_names=model_names.former(session, [model.id]).get(model.id, []),
        private=model.private,
        aliases=aliases.of_checkpoints(session, [one.id for one in owned]),
        may_change=is_of(team, reader),
    )


def _runs(ordered: Courses, course: Course, numbers: Numbers, metric: str | None) -> Runs | None:
    """All runs on a course's board in one metric; None if there is only one run."""
    beside = {one: members for one, members in ordered.items() if one.is_beside(course)}
    scored = [numbers.get(one.id, {}) for members in beside.values() for one in members]
    metrics = [one for one in METRICS if any(one in mine for mine in scored)]
    if len(beside) < 2 or not metrics:
        return None
    if metric is not None and metric not in metrics:
        raise UnknownName("metric", metric, metrics)
    chosen = metric or metrics[0]
    drawn = dict(islice(beside.items(), courses.MOST_RUNS))
    return Runs(
        board=course.board,
        metric=chosen,
        metrics=metrics,
        chart=courses.chart_of_runs(drawn, numbers, chosen),
        num_runs=len(beside),
        num_shown=len(drawn),
    )


def _log(session: Session, model: Model, course: Course | None, ordered: Sequence[Evaluation]) -> Log | None:
    if course:
        row = logs.of_run(session, model.id, course.run)
    else:
        row = next(iter(logs.of_model(session, model.id, limit=1)), None)
    if row is None:
        return None
    chart = courses.chart_of_log(row, courses.ends(ordered, row.steps))
    return Log(row=row, chart=chart, rows_of_a_point=courses.rows_of_a_point(row))


def _twins(session: Session, owned: Sequence[Checkpoint], among: Among) -> dict[UUID, list[Twin]]:
    """Other models and steps that a reader may see and whose files have the SHA-256 of these."""
    ready = [one for one in owned if one.state is CheckpointState.READY and one.sha256]
    hashes = [str(one.sha256) for one in ready]
    by_hash: dict[str | None, list[Checkpoint]] = {}
    for one in checkpoints.ready_with(session, hashes, among.where, MOST_TWINS):
        by_hash.setdefault(one.sha256, []).append(one)
    found: dict[UUID, list[Twin]] = {}
    for mine in ready:
        others = {_place(one): one for one in by_hash.get(mine.sha256, []) if _place(one) != _place(mine)}
        if others:
            found[mine.id] = [_twin(one) for one in others.values()]
    return found


def _place(one: Checkpoint) -> tuple[UUID | None, str | None, int | None]:
    return one.model_id, one.run, one.step


def _twin(one: Checkpoint) -> Twin:
    assert one.model is not None
    return Twin(checkpoint=one.id, team=one.model.team, model=one.model.name, run=one.run, step=one.step)


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
