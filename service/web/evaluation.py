"""The page of an evaluation: its results once it is done, else its progress or why it ended."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from records.models import Evaluation, EvaluationState, JobState
from records.repositories import datasets, evaluations
from records.settings import Settings
from records.storage import Storage
from service.auth import Caller, is_of
from service.estimates import service as estimates
from service.estimates.schemas import EstimateOut
from service.evaluations import service
from service.evaluations.schemas import EvaluationOut, with_declared
from service.reasons import is_operator, text_for
from service.web import names, power
from vcp_core.catalog.options import KINDS, OPTIONS
from vcp_core.catalog.scores import Score
from vcp_core.results.types import Fit, Results, Table

MAX_CONFUSION = 20  # classes; a larger matrix cannot be read; the table of classes has its rows
STEPS = {
    EvaluationState.WAITING: "Waits",
    EvaluationState.PLANNING: "Plans",
    EvaluationState.RUNNING: "Forwards clips",
    EvaluationState.SCORING: "Scores",
    EvaluationState.DONE: "Done",
}


@dataclass(frozen=True, kw_only=True)
class OptionLine:
    """One option of the profile: recall and precision."""

    name: str
    does: str
    recall: Score
    precision: Score | None


@dataclass(frozen=True, kw_only=True)
class KindLine:
    """One kind of variant of an option, such as the angle of a rotation."""

    option: str
    kind: str
    recall: Score


@dataclass(frozen=True, kw_only=True)
class ClassLine:
    """One class of videos; percent.

    Attributes:
        name: Label of the class.
        num_videos: Number of its test videos.
        recall: Recall of the linear probe.
        knn: Recall of k nearest neighbours.
        hit: Hit rate of retrieval at the protocol's first k.
        taken_for: The class that it is most often taken for, and how often.
    """

    name: str
    num_videos: int | None
    recall: float | None
    knn: float | None
    hit: float | None
    taken_for: tuple[str, int] | None


@dataclass(frozen=True, kw_only=True)
class FitLine:
    """How a probe was fitted."""

    benchmark: str
    fit: Fit


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The parts of a finished evaluation's page beside its scores.

    `graph` has pairs of a word and a text, which say what a graph is. It is empty for a backbone of
    the catalog.
    """

    results: Results
    headlines: list[Score]
    power: list[power.Line]
    options: list[OptionLine]
    kinds: list[KindLine]
    confusions: list[Table]
    classes: list[ClassLine]
    fits: list[FitLine]
    profile: dict[str, Any]
    graph: list[tuple[str, str]]

    @property
    def hardest(self) -> str | None:
        """Say which class the linear probe finds least often, the one with most videos among equals."""
        known = [line for line in self.classes if line.recall is not None and line.num_videos]
        worst = min(known, key=lambda line: (line.recall or 0.0, -(line.num_videos or 0)), default=None)
        if worst is None or worst.taken_for is None:
            return None
        other, count = worst.taken_for
        found = round((worst.recall or 0.0) * (worst.num_videos or 0) / 100)
        return (
            f"The hardest class is {worst.name}: {found} of {worst.num_videos} videos are recognised, "
            f"and {count} {'is' if count == 1 else 'are'} taken for {other}."
        )


@dataclass(frozen=True, kw_only=True)
class ShownJobs:
    """Jobs of one kind, as this reader sees them; see `records.repositories.leaderboard.JobLine`."""

    kind: str
    counts: dict[JobState, int]
    retries: int
    error: str | None
    log_tail: str | None


@dataclass(frozen=True, kw_only=True)
class Page:
    """An evaluation's page; `finished` once it is done, `jobs` and `estimate` until then."""

    shown: EvaluationOut
    team: str
    title: str
    superseded: bool
    finished: Finished | None
    jobs: list[ShownJobs]
    estimate: EstimateOut | None

    @property
    def tab(self) -> str:
        """The title of the browser's tab: the progress or a bad end, then the network and the dataset."""
        state, progress = self.shown.state, self.shown.progress
        begun = "" if state is EvaluationState.DONE else f"{state.value} · "
        if not state.ended and progress is not None:
            begun = f"{math.floor(100 * progress.fraction)} % · "
        return f"{begun}{self.title} on {self.shown.dataset.name}"


def page(
    session: Session,
    evaluation: Evaluation,
    reader: Caller | None,
    *,
    storage: Storage,
    settings: Settings,
) -> Page:
    """Make an evaluation's page for one reader. The evaluation must be loaded with its results."""
    ended = evaluation.state.ended
    shown = service.detail(session, evaluation, reader)
    done = evaluation.state is EvaluationState.DONE and evaluation.results is not None
    return Page(
        shown=shown,
        team=evaluation.team,
        title=title(shown),
        superseded=bool(datasets.superseded(session, [shown.dataset.fingerprint])),
        finished=_finished(session, shown, evaluation) if done else None,
        jobs=[] if done else _jobs(session, evaluation, reader),
        estimate=None if ended else estimates.before(session, storage, settings, evaluation),
    )


def _jobs(session: Session, evaluation: Evaluation, reader: Caller | None) -> list[ShownJobs]:
    """List the evaluation's jobs. Only its team reads errors, and only operators read logs."""
    mine = is_of(evaluation.team, reader)
    return [
        ShownJobs(
            kind=line.kind,
            counts=line.counts,
            retries=line.retries,
            error=text_for(line.error, reader, evaluation.dataset) if mine else None,
            log_tail=line.log_tail if is_operator(reader) else None,
        )
        for line in evaluations.job_lines(session, evaluation)
    ]


def title(shown: EvaluationOut) -> str:
    """Name the evaluated network: a checkpoint, random weights or the pixel baseline."""
    checkpoint = shown.checkpoint
    if checkpoint.model is None:
        if checkpoint.seed is None:
            return f"{names.PIXELS}, clips as {checkpoint.backbone} takes them"
        return f"random weights, {checkpoint.backbone} seed {checkpoint.seed}"
    step = "" if checkpoint.step is None else f" at step {checkpoint.step}"
    return f"{checkpoint.model}{step}"


def _finished(session: Session, shown: EvaluationOut, evaluation: Evaluation) -> Finished:
    results = Results.model_validate(with_declared(evaluation))
    scores = {score.metric: score for score in shown.scores}
    tables = {table.name: table for result in results.benchmarks for table in result.tables}
    lines = options(scores)
    return Finished(
        results=results,
        power=power.lines(score for score in shown.scores if score.headline),
        headlines=[score for score in shown.scores if score.headline],
        options=lines,
        kinds=_kinds(scores),
        confusions=[
            table
            for name, table in tables.items()
            if name.endswith("confusion") and len(table.rows) <= MAX_CONFUSION
        ],
        classes=_classes(tables),
        fits=[
            FitLine(benchmark=benchmark, fit=Fit.model_validate(fit))
            for benchmark, fit in evaluations.fits(session, evaluation.id)
        ],
        profile=profile(lines),
        graph=evaluation.checkpoint.graph_facts.lines() if evaluation.checkpoint.graph else [],
    )


def scores_of(session: Session, evaluation_id: UUID) -> dict[str, Score]:
    """The scores of a finished evaluation, by metric."""
    rows = evaluations.scores(session, [evaluation_id])[evaluation_id]
    return {row.metric: Score.model_validate(row) for row in rows}


def options(scores: Mapping[str, Score]) -> list[OptionLine]:
    """List the options that have a score."""
    return [
        OptionLine(
            name=option.name,
            does=option.does,
            recall=scores[names.RECALL + option.name],
            precision=scores.get(f"cloze.precision.{option.name}"),
        )
        for option in OPTIONS.values()
        if names.RECALL + option.name in scores
    ]


def _kinds(scores: Mapping[str, Score]) -> list[KindLine]:
    return [
        KindLine(option=option, kind=kind, recall=scores[metric])
        for option, kinds in KINDS.items()
        for kind in kinds
        if (metric := f"{names.RECALL}{option}.{kind}") in scores
    ]


def profile(lines: Sequence[OptionLine]) -> dict[str, Any]:
    """Make the chart's data: each option's recall with its interval, and that of random weights beside it."""
    return {
        "kind": "intervals",
        "axis": "recall, percent",
        "min": 0,
        "max": 100,
        "reference": lines[0].recall.chance if lines else None,
        "referenceName": "chance",
        "names": [line.name for line in lines],
        "series": [
            {
                "name": "this checkpoint",
                "points": [[line.recall.low, line.recall.value, line.recall.high] for line in lines],
            },
            {
                "name": "random weights",
                "points": [[None, line.recall.control, None] for line in lines],
            },
        ],
    }


def _classes(tables: Mapping[str, Table]) -> list[ClassLine]:
    linear, knn = tables.get("recognition.confusion"), tables.get("recognition.knn.confusion")
    hits = tables.get("retrieval.per_class")
    found = linear or hits
    return [] if found is None else [_class(name, linear, knn, hits) for name in found.rows]


def _class(name: str, linear: Table | None, knn: Table | None, hits: Table | None) -> ClassLine:
    counts = linear.values[linear.rows.index(name)] if linear else ()
    others = [(count, other) for count, other in zip(counts, linear.columns if linear else (), strict=True)]
    wrong = max(((count, other) for count, other in others if other != name and count), default=None)
    return ClassLine(
        name=name,
        num_videos=int(sum(counts)) if linear else None,
        recall=_recall(linear, name),
        knn=_recall(knn, name),
        hit=hits.values[hits.rows.index(name)][0] if hits and name in hits.rows else None,
        taken_for=(wrong[1], int(wrong[0])) if wrong else None,
    )


def _recall(table: Table | None, name: str) -> float | None:
    if table is None or name not in table.rows:
        return None
    counts = table.values[table.rows.index(name)]
    return 100 * counts[table.columns.index(name)] / sum(counts) if sum(counts) else None


def count(line: ShownJobs, *states: JobState) -> int:
    """Count the jobs of a line that are in these states."""
    return sum(line.counts.get(state, 0) for state in states)
