"""Scores over the steps of a training: the courses of a model, and their charts.

A chart's data are numbers and names. static/charts.js draws them in the browser, svg.py draws them as a file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from records.models import Checkpoint, Evaluation, LogRow
from service.web import names
from vcp_core.catalog.scores import Score

DETAILS = (
    "cloze.spatial",
    "cloze.temporal",
)  # of the chart; hidden until a reader presses their buttons
METRICS = ("recognition.top1", "retrieval.top1", "cloze.accuracy", *DETAILS)
MOST_POINTS = 400  # of a curve; a chart is some 900 pixels wide
MOST_RUNS = 10  # of one picture; more lines than these cannot be told apart
X = "training step"
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
        return self.board + (f", run {self.run}" if self.run else "")

    @property
    def board(self) -> str:
        """In words, without the run."""
        videos = f" (superseded videos {self.fingerprint:.8})" if self.superseded else ""
        older = " (by an older version)" if self.older else ""
        return f"{self.dataset}{videos}, {self.protocol}{older}"

    @property
    def run_title(self) -> str:
        """The run in words."""
        return self.run or "without a run"

    def is_beside(self, other: Course) -> bool:
        """Whether the other course stands on the same board."""
        return replace(self, run=None) == replace(other, run=None)


Courses = Mapping[Course, Sequence[Evaluation]]


def step_of(one: Evaluation) -> int:
    """The training step of its checkpoint, which must have one."""
    assert one.checkpoint.step is not None
    return one.checkpoint.step


def by_run_and_step(one: Checkpoint) -> tuple[str, bool, int, float]:
    """A key that sorts checkpoints by run and step, and of one step the newest first."""
    return one.run or "", one.step is None, one.step or 0, -one.created_at.timestamp()


def evaluated_by_run_and_step(one: Evaluation) -> tuple[str, bool, int, float]:
    """A key that sorts evaluations likewise."""
    run, without_step, step, _ = by_run_and_step(one.checkpoint)
    return run, without_step, step, -one.created_at.timestamp()


def by_course(done: Iterable[Evaluation], superseded: Collection[str | None]) -> Courses:
    """The evaluations with a step, by course and then by step. Of one step, the newest is taken.

    Args:
        done: Finished evaluations, newest first.
        superseded: Fingerprints whose videos have lost their name.
    """
    found: dict[Course, dict[int, Evaluation]] = {}
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
        found.setdefault(course, {}).setdefault(step_of(one), one)
    return {course: sorted(members.values(), key=step_of) for course, members in found.items()}


def chart(
    ordered: Sequence[Evaluation], numbers: Numbers, steps: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Make the chart of one run: a line for each metric, with its chance and random weights.

    A point is [step, low, value, high]. `references` are lines of points [step, value], which have their name
    beside them.

    Args:
        ordered: Evaluations by step.
        numbers: Their scores.
        steps: The ends of the axis; those of the points if left out.
    """
    series = []
    for metric in METRICS:
        scored = _scored(ordered, numbers, metric)
        if scored:
            line = {"name": names.title(metric), "points": _points(scored)}
            series.append({**line, "references": _references(scored)})
    return _data(series, steps) | {"off": [names.title(metric) for metric in DETAILS]}


def chart_of_runs(beside: Courses, numbers: Numbers, metric: str) -> dict[str, Any]:
    """Make the chart of several runs in one metric: a line for each run, with chance and random weights.

    Args:
        beside: Courses on one board.
        numbers: Scores of their evaluations.
        metric: The metric.
    """
    found = [(course.run_title, _scored(ordered, numbers, metric)) for course, ordered in beside.items()]
    series = [{"name": run, "points": _points(scored)} for run, scored in found if scored]
    every = sorted((pair for _, scored in found for pair in scored), key=lambda pair: pair[0])
    return _data(series, None) | {"references": _references(every), "off": []}


def chart_of_log(log: LogRow, steps: tuple[int, int]) -> dict[str, Any]:
    """Make the chart of a training log: its losses, or its first curve; buttons show the others.

    The points of a long log are means of `rows_of_a_point` rows each.
    """
    each = rows_of_a_point(log)
    series = [
        {"name": name, "points": _thinned(log.steps, values, each)} for name, values in log.curves.items()
    ]
    shown = [name for name in log.names if "loss" in name.lower()] or log.names[:1]
    return _data(series, steps) | {"fits": True, "off": [name for name in log.names if name not in shown]}


def rows_of_a_point(log: LogRow) -> int:
    """How many rows of a log each point of its chart averages."""
    return -(-log.num_rows // MOST_POINTS)


def _thinned(steps: Sequence[int], values: Sequence[float | None], each: int) -> list[list[float | None]]:
    """Points [step, None, value, None], as those of a course without intervals."""
    points: list[list[float | None]] = []
    for begin in range(0, len(steps), each):
        there = [value for value in values[begin : begin + each] if value is not None]
        if there:
            part = steps[begin : begin + each]
            points.append([round(sum(part) / len(part)), None, sum(there) / len(there), None])
    return points


def ends(ordered: Sequence[Evaluation], steps: Sequence[int]) -> tuple[int, int]:
    """The first and the last step of a course and of its training log."""
    every = [*(step_of(one) for one in ordered), *steps[:1], *steps[-1:]]
    return min(every), max(every)


def _data(series: Sequence[Mapping[str, Any]], steps: tuple[int, int] | None) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": "lines", "x": X, "series": series}
    return found if steps is None else found | {"from": steps[0], "to": steps[1]}


def _scored(ordered: Iterable[Evaluation], numbers: Numbers, metric: str) -> list[tuple[int, Score]]:
    found = [(step_of(one), numbers.get(one.id, {}).get(metric)) for one in ordered]
    return [(step, score) for step, score in found if score is not None]


def _points(scored: Iterable[tuple[int, Score]]) -> list[list[float]]:
    return [[step, score.low, score.value, score.high] for step, score in scored]


def _references(scored: Sequence[tuple[int, Score]]) -> list[dict[str, Any]]:
    """Chance and random weights, each as a line. If the control changes within a run, so does its line."""
    lines = {
        "chance": [[step, score.chance] for step, score in scored if score.chance is not None],
        "random": [[step, score.control] for step, score in scored if score.control is not None],
    }
    return [
        {"name": f"{name} {points[-1][1]:.1f}", "points": points} for name, points in lines.items() if points
    ]
