"""Say in words what workers do for an evaluation now, or why nothing happens.

The API, the pages and the client show these words.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from records.models import (
    Checkpoint,
    Comparison,
    ComparisonState,
    DatasetRow,
    Evaluation,
    EvaluationState,
    Job,
    JobKind,
    JobState,
    MapRow,
    MapState,
    Pause,
    Worker,
)
from records.repositories import jobs, pauses, queue, turns, workers
from records.repositories.queue import Next
from service.auth import Caller, is_of
from service.health import QUEUES
from service.reasons import text_for
from service.visible import visible_to
from vcp_core.catalog.datasets import is_built_in, loading
from vcp_core.progress import duration

WAITING = "waiting"
STAGES = {  # shown until the evaluation has a job
    EvaluationState.PLANNING: "planning",
    EvaluationState.RUNNING: "forwarding clips",
    EvaluationState.SCORING: "scoring",
}


class Standing(NamedTuple):
    """What workers do for an evaluation.

    Attributes:
        stage: The present step, in words.
        waiting_for: Why nothing happens; None if a worker is at work.
    """

    stage: str
    waiting_for: str | None = None


class Why(NamedTuple):
    """Why no worker does a job now.

    Attributes:
        text: The reason, in words.
        no_worker: Whether no worker takes the job's queue. Then waiting alone does not help.
    """

    text: str
    no_worker: bool = False


def standing(session: Session, evaluation: Evaluation, reader: Caller | None) -> Standing:
    """What workers do for an evaluation now. The words tell nothing that another team keeps to itself."""
    if evaluation.state.ended:
        return Standing(evaluation.state.value)
    found = queue.next_jobs(session, evaluation)
    return _standing(session, found, evaluation, reader, otherwise=STAGES.get(evaluation.state, WAITING))


def comparing(session: Session, comparison: Comparison, reader: Caller | None) -> Standing:
    """What workers do for a comparison now. The words are those for an evaluation."""
    if comparison.state is not ComparisonState.WAITING:
        return Standing(comparison.state.value)
    found = queue.next_of_comparison(session, comparison.id)
    return _standing(session, found, comparison.first, reader, otherwise=WAITING)


def drawing(session: Session, row: MapRow, reader: Caller | None) -> Standing:
    """What workers do for a map now. The words are those for an evaluation."""
    if row.state is not MapState.WAITING:
        return Standing(row.state.value)
    found = queue.next_of_map(session, row.id)
    return _standing(session, found, row.evaluation, reader, otherwise=WAITING)


def _standing(
    session: Session,
    found: list[Next],
    evaluation: Evaluation,
    reader: Caller | None,
    *,
    otherwise: str,
) -> Standing:
    """Judge by the first job of each queue. `otherwise` is the stage if there is no job."""
    if not found:
        return Standing(otherwise)
    if not found[0].running:
        there = workers.seen(session)
        reasons = [_reason(session, one, there, evaluation, reader) for one in found]
        if all(reasons):  # else a worker is free, and takes the job at once
            nobody = [index for index, reason in enumerate(reasons) if reason and reason.no_worker]
            first = (nobody or [0])[0]
            which, why = found[first].job, reasons[first]
            assert why is not None
            return Standing(WAITING, f"{_subject(session, which, evaluation)}: {why.text}")
        found = [one for one, reason in zip(found, reasons, strict=True) if reason is None]
    return Standing(_stage(session, found[0].job, evaluation))


def _stage(session: Session, job: Job, evaluation: Evaluation) -> str:
    own = job.evaluation_id == evaluation.id
    if job.kind is JobKind.INDEX:
        return loading(session.get_one(DatasetRow, job.dataset_id).source["name_or_path"])
    return {
        JobKind.INGEST: "reading the checkpoint",
        JobKind.CALIBRATE: "calibrating random weights",
        JobKind.PLAN: "planning" if own else "planning the controls",
        JobKind.EXTRACT: "forwarding clips",
        JobKind.FIT: "fitting probes" if own else "fitting probes of the controls",
        JobKind.SCORE: "scoring" if own else "scoring the controls",
        JobKind.COMPARE: "comparing",
        JobKind.MEDIA: "making previews",
        JobKind.MAP: "drawing a map",
    }[job.kind]


def _subject(session: Session, job: Job, evaluation: Evaluation) -> str:
    """Say in words which thing waits, and for what."""
    it = "the evaluation" if job.evaluation_id == evaluation.id else "a control of the evaluation"
    if job.kind is JobKind.INDEX:
        dataset = session.get_one(DatasetRow, job.dataset_id)
        if is_built_in(dataset.source["name_or_path"]):
            return f"the videos of {dataset.name} wait to be made"
        return f"the dataset {dataset.name} waits to be indexed"
    return {
        JobKind.INGEST: "the checkpoint waits to be read",
        JobKind.CALIBRATE: "the random weights wait to be calibrated",
        JobKind.PLAN: f"{it} waits to be planned",
        JobKind.EXTRACT: "the clips wait to be forwarded",
        JobKind.FIT: f"the probes of {it} wait to be fitted",
        JobKind.SCORE: f"{it} waits to be scored",
        JobKind.COMPARE: "the comparison waits to be made",
        JobKind.MAP: "the map waits to be drawn",
        JobKind.MEDIA: "the previews wait to be made",
    }[job.kind]


def _reason(
    session: Session,
    found: Next,
    there: Sequence[Worker],
    evaluation: Evaluation,
    reader: Caller | None,
) -> Why | None:
    """Why no worker does the job now; None if a worker is free to take it."""
    job = found.job
    pause = pauses.holding(session, job) if job.state is JobState.QUEUED else None
    if pause is not None:
        return Why(paused(pause))
    takers = [worker for worker in there if job.queue in worker.queues and worker.draining_since is None]
    if not takers:
        waiting = jobs.num_claimable(session).get(job.queue, 0)
        where = {0: "", 1: ", where 1 job waits"}.get(waiting, f", where {waiting} jobs wait")
        text = f"no worker takes the {job.queue} queue{where}; start one: vcpbench worker"
        return Why(text, no_worker=True)
    if found.silent:
        left_s = (job.lease_until - found.now).total_seconds() if job.lease_until else 0.0
        return Why(f"its worker fell silent, and another may take it in {duration(left_s)}")
    if job.not_before is not None and job.not_before > found.now:
        mine = is_of(evaluation.team, reader)
        said = text_for(job.error, reader, evaluation.dataset) if mine else None
        why = said or "the last attempt failed"
        again = duration((job.not_before - found.now).total_seconds())
        return Why(f"it is tried again in {again}, after: {why}")
    busy = queue.in_work(session, takers)
    if len({one.worker_id for one in busy}) < len(takers) or job.id in {one.id for one in busy}:
        return None  # a worker may also have taken the job since the query
    common = set.intersection(*(set(worker.queues) for worker in takers))
    before = turns.num_before(session, job, sorted(common))
    turn = {0: "it is next", 1: "1 other job is before it"}.get(before, f"{before} other jobs are before it")
    activity = _activity(session, busy[0], found.now, reader)
    if len(takers) == 1:
        return Why(f"the only worker for this is {activity}; {turn}")
    return Why(f"all {len(takers)} workers for this are busy, one of them {activity}; {turn}")


def paused(pause: Pause) -> str:
    """Say who paused a queue or a kind of job, since when, and why."""
    what = f"the {pause.what} queue is" if pause.what in QUEUES else f"jobs of the kind {pause.what!r} are"
    since = f"{pause.created_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return f"{what} paused by {pause.by} since {since}: {pause.why}"


def _activity(session: Session, job: Job, now: datetime, reader: Caller | None) -> str:
    """Say what a worker does: for which evaluation, since when, and how far it is."""
    words = _doing(session, job, reader)
    whom = queue.done_for(session, job, visible_to(reader))
    if whom is not None:
        words += f" for evaluation {str(whom.id)[:8]} (team {whom.team})"
    if job.started_at is not None:
        words += f", begun {duration((now - job.started_at).total_seconds())} ago"
    if job.total and job.done:
        words += f", {100 * min(job.done, job.total) // job.total} % done"
    return words


def _doing(session: Session, job: Job, reader: Caller | None) -> str:
    if job.kind is JobKind.INDEX:
        dataset = session.get_one(DatasetRow, job.dataset_id)
        if is_built_in(dataset.source["name_or_path"]):
            return f"making the videos of {dataset.name}"
        return f"indexing the dataset {dataset.name}"
    if job.kind is JobKind.INGEST:
        model = session.get_one(Checkpoint, job.checkpoint_id).model
        if model is not None and is_of(model.team, reader):
            return f"reading a checkpoint of {model.name}"
        return "reading a checkpoint" if reader is None else "reading another team's checkpoint"
    return {
        JobKind.CALIBRATE: "calibrating random weights",
        JobKind.PLAN: "planning",
        JobKind.EXTRACT: "forwarding clips",
        JobKind.FIT: "fitting probes",
        JobKind.SCORE: "scoring",
        JobKind.COMPARE: "comparing",
        JobKind.MEDIA: "making previews",
        JobKind.MAP: "drawing a map",
    }[job.kind]
