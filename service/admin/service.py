"""Queue jobs and evaluations again, cancel jobs, evaluations and checkpoints, and purge what has ended.

Every change of a state is made under the flow's lock. It names the state that it expects: a worker may end a
job at the same moment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from records import flow
from records.db import Database
from records.models import (
    Checkpoint,
    CheckpointState,
    Comparison,
    ComparisonState,
    DatasetRow,
    DatasetState,
    Evaluation,
    EvaluationState,
    Job,
    JobKind,
    JobState,
    MapRow,
    MapState,
    Media,
    MediaState,
)
from records.repositories import checkpoints, locks, operating
from records.repositories.operating import Kind
from service.admin.schemas import PRIORITIES, ChangeOut, Priority, PurgeIn, PurgeOut
from service.auth import Caller
from service.datasets import service as dataset_service
from service.evaluations import named
from service.evaluations import service as evaluation_service
from service.problems import Conflict, NotFound
from service.protocols import service as protocols
from service.references import MOST_TOLD, ambiguous, parse_id
from vcp_core.catalog.errors import UnknownName, VcpbenchError

PIECES = 10  # of a purge in one request, each in a transaction of its own

log = structlog.get_logger("vcpbench.service")


def requeue(session: Session, wanted: str, caller: Caller) -> ChangeOut:
    """Do a job or an evaluation that failed or was cancelled again, with fresh attempts.

    A job is queued again, and the evaluations that failed for want of it are asked for again. An evaluation
    that ended never changes, so a new one is made. It reuses the features of the old one.

    Raises:
        NotFound: If there is no such job or evaluation.
        Conflict: If it runs, is done, or cannot be done again. The message says why.
    """
    flow.lock(session)
    kind, found = _find(session, wanted)
    if kind == "checkpoint":
        kind, found = "job", _reading(session, found)
    if kind == "evaluation":
        made = _ask_again(session, named.get(session, found, caller))
        change = ChangeOut(kind="evaluation", id=found, evaluations={made.id: made.state})
    else:
        change = _job_again(session, session.get_one(Job, found))
    log.info("queued again", by=caller.name, **change.model_dump(mode="json"))
    return change


def _ask_again(session: Session, old: Evaluation) -> Evaluation:
    """Ask for an evaluation again. If another one like it is done or under way, that is the one."""
    if old.state not in (EvaluationState.FAILED, EvaluationState.CANCELLED):
        raise Conflict(
            f"Evaluation {old.id} is {old.state.value}. Only one that failed or was cancelled can be asked "
            "for again."
        )
    if old.is_control:
        raise Conflict(
            f"Evaluation {old.id} is a control. The next evaluation that needs it asks for it again: requeue "
            "that one."
        )
    checkpoint = old.checkpoint
    if checkpoint.state is CheckpointState.REJECTED:
        job_id = operating.job_of(session, checkpoint.id)
        hint = f" To have the file read again: vcpbench admin requeue {job_id}" if job_id else ""
        raise Conflict(f"Its checkpoint {checkpoint.id} was rejected: {checkpoint.reason}.{hint}")
    protocols.check_runnable(old.protocol)
    dataset = old.dataset
    if dataset.retired_at is not None and dataset.fingerprint is None:  # nobody waited until it was indexed
        dataset = dataset_service.find(session, dataset.name, team=old.team)
    if dataset.state is DatasetState.FAILED:
        raise Conflict(f"The dataset {dataset.name} cannot be used: {dataset.reason}. Register it again.")
    made, _ = flow.find_or_create(
        session, checkpoint, dataset, old.protocol_hash, team=old.team, priority=old.priority
    )
    return made


def _job_again(session: Session, job: Job) -> ChangeOut:
    if job.state in (JobState.RUNNING, JobState.DONE):
        what = "Cancel it first" if job.state is JobState.RUNNING else "There is nothing to do again"
        raise Conflict(f"Job {job.id} is {job.state.value}. {what}.")
    change = ChangeOut(kind="job", id=job.id)
    if job.state is JobState.QUEUED:
        failed: Sequence[Evaluation] = ()
    else:
        failed = operating.needing(session, job, [EvaluationState.FAILED])
        if job.kind not in _AGAIN:
            return _all_again(session, job, failed, change)
        _let_wait(session, job)
    if not operating.again(session, job):
        raise Conflict(f"Job {job.id} is {job.state.value} by now. Look again: vcpbench admin queue.")
    change.job = job.id
    return _all_again(session, job, failed, change)


def _all_again(session: Session, job: Job, failed: Sequence[Evaluation], change: ChangeOut) -> ChangeOut:
    if change.job is None and not failed:
        raise Conflict(
            f"Job {job.id} ({job.kind.value}) is {job.state.value}, and no evaluation failed for want of it. "
            "Requeue the evaluation that needs it."
        )
    for old in failed:
        try:
            made = _ask_again(session, old)
        except (Conflict, UnknownName) as reason:
            change.left_out[old.id] = str(reason)
        else:
            change.evaluations[made.id] = made.state
    return change


@dataclass(frozen=True)
class _Subject:
    """Where the subject of a kind of job stands, and its state after a failure and while it waits."""

    of: Callable[[Session, Job], Any]
    failed: StrEnum
    waiting: StrEnum


# The subject of these kinds waits again. For all others, the evaluations that need the job are asked for
# again: they ended, and never change. The random weights of `calibrate` are made anew for them.
_AGAIN: Mapping[JobKind, _Subject] = {
    JobKind.INGEST: _Subject(
        lambda session, job: session.get_one(Checkpoint, job.checkpoint_id),
        CheckpointState.REJECTED,
        CheckpointState.INGESTING,
    ),
    JobKind.INDEX: _Subject(
        lambda session, job: session.get_one(DatasetRow, job.dataset_id),
        DatasetState.FAILED,
        DatasetState.INDEXING,
    ),
    JobKind.COMPARE: _Subject(
        lambda session, job: session.get_one(Comparison, job.comparison_id),
        ComparisonState.FAILED,
        ComparisonState.WAITING,
    ),
    JobKind.MEDIA: _Subject(
        lambda session, job: session.get_one(Media, job.media_id), MediaState.FAILED, MediaState.MAKING
    ),
    JobKind.MAP: _Subject(
        lambda session, job: session.get_one(MapRow, job.map_id), MapState.FAILED, MapState.WAITING
    ),
}


def _let_wait(session: Session, job: Job) -> None:
    """Let the subject of a job that ended wait for it again."""
    kind = _AGAIN[job.kind]
    row = kind.of(session, job)
    if row.state is not kind.failed:
        raise Conflict(f"The subject of job {job.id} is {row.state.value}. There is nothing to do again.")
    if isinstance(row, Checkpoint):
        _check_not_uploaded_again(session, row)
    elif isinstance(row, DatasetRow) and row.retired_at is not None:
        raise Conflict(f"The dataset {row.name} of job {job.id} lost its name. Register it again.")
    row.state, row.reason = kind.waiting, None
    if not isinstance(row, Checkpoint | DatasetRow):
        row.finished_at = None
    session.flush()


def _check_not_uploaded_again(session: Session, checkpoint: Checkpoint) -> None:
    """Make sure that no other checkpoint of the model has the same bytes, declared alike."""
    if checkpoint.model is None or checkpoint.sha256 is None:
        return
    locks.take(session, checkpoints.model_lock(checkpoint.model.id))
    facts = {name: getattr(checkpoint, name) for name in ("prefix", "variant", "input_spec")}
    other = checkpoints.same(session, checkpoint.model, checkpoint.sha256, **facts)
    if other is not None:
        raise Conflict(
            f"Checkpoint {checkpoint.id} was uploaded again as {other.id}, which is {other.state.value}. "
            "Use that one."
        )


def cancel(session: Session, wanted: str, caller: Caller) -> ChangeOut:
    """Cancel a job, an evaluation, or all work for a checkpoint. `requeue` does it again.

    What needs a cancelled job fails. Its reason says that an administrator cancelled the job.

    Raises:
        NotFound: If there is no such thing.
        Conflict: If it has ended.
    """
    flow.lock(session)
    kind, found = _find(session, wanted)
    if kind == "evaluation":
        done = evaluation_service.cancel(session, str(found), caller)
        change = ChangeOut(kind="evaluation", id=found, evaluations={found: done.state})
    elif kind == "checkpoint":
        change = _cancel_checkpoint(session, session.get_one(Checkpoint, found), caller)
    else:
        change = _cancel_job(session, session.get_one(Job, found), caller)
    log.info("cancelled", by=caller.name, **change.model_dump(mode="json"))
    return change


def _cancel_job(session: Session, job: Job, caller: Caller) -> ChangeOut:
    waiting = operating.needing(session, job, [state for state in EvaluationState if not state.ended])
    if not operating.cancel(session, job, VcpbenchError(f"an administrator ({caller.name}) cancelled it")):
        raise Conflict(f"Job {job.id} is {job.state.value} already. There is nothing to cancel.")
    flow.job_failed(session, job)
    return ChangeOut(kind="job", id=job.id, job=job.id, evaluations=_states(waiting))


def _cancel_checkpoint(session: Session, checkpoint: Checkpoint, caller: Caller) -> ChangeOut:
    if checkpoint.state is CheckpointState.INGESTING:
        change = _cancel_job(session, session.get_one(Job, _reading(session, checkpoint.id)), caller)
        return change.model_copy(update={"kind": "checkpoint", "id": checkpoint.id})
    live = operating.live_of(session, checkpoint.id)
    if not live:
        raise Conflict(
            f"Checkpoint {checkpoint.id} is {checkpoint.state.value}, and no evaluation of it is under way. "
            "There is nothing to cancel."
        )
    for one in live:
        flow.cancel(session, one)
    return ChangeOut(kind="checkpoint", id=checkpoint.id, evaluations=_states(live))


def _states(found: Sequence[Evaluation]) -> dict[UUID, EvaluationState]:
    return {one.id: one.state for one in found}


def _find(session: Session, wanted: str) -> tuple[Kind, UUID]:
    """Find the one job, evaluation or upload whose id begins so."""
    beginning = parse_id(wanted, "job, evaluation or checkpoint")
    found = operating.begun(session, beginning.low, beginning.high, MOST_TOLD + 1)
    if not found:
        raise NotFound(
            f"No job, evaluation or checkpoint has an id that begins with {beginning.text!r}. "
            "List the jobs: GET /v1/admin/queue."
        )
    if len(found) > 1:
        raise ambiguous("thing", beginning.text, [(one, kind) for kind, one in found])
    return found[0]


def _reading(session: Session, checkpoint_id: UUID) -> UUID:
    """The job that reads an upload."""
    found = operating.job_of(session, checkpoint_id)
    if found is None:
        raise Conflict(
            f"No job reads checkpoint {checkpoint_id}: its bytes are not there, or its job was purged. "
            "Upload the file again."
        )
    return found


def prioritise(session: Session, wanted: str, priority: Priority, caller: Caller) -> Evaluation:
    """Give an evaluation another priority.

    Raises:
        NotFound: If there is no such evaluation.
        Conflict: If it has ended, or is a control.
    """
    flow.lock(session)
    evaluation = named.find(session, wanted, caller)
    if evaluation.is_control:
        raise Conflict(
            f"Evaluation {evaluation.id} is a control. It has the highest priority of the evaluations that "
            "need it."
        )
    if evaluation.state.ended:
        raise Conflict(f"Evaluation {evaluation.id} is {evaluation.state.value}. No job of it waits.")
    flow.prioritise(session, evaluation, PRIORITIES[priority])
    log.info("priority changed", evaluation=str(evaluation.id), priority=priority, by=caller.name)
    return evaluation


def purge(
    database: Database, wanted: PurgeIn, caller: Caller, *, note: Callable[[Session], None]
) -> PurgeOut:
    """Remove logs and jobs that ended long ago, in short transactions, or only count them.

    Args:
        database: Of the installation.
        wanted: What is old.
        caller: Who asks.
        note: Writes the audit log, before the first of several transactions that remove something.
    """
    with database.session() as session:
        before = operating.days_ago(session, wanted.days)
        if wanted.dry_run:
            logs, rows = operating.purgeable(session, before)
            return PurgeOut(before=before, dry_run=True, logs=logs, jobs=rows, more=logs + rows > 0)
        note(session)
    out = PurgeOut(before=before, dry_run=False, logs=0, jobs=0, more=True)
    for _ in range(PIECES):
        with database.session() as session:
            logs, rows = operating.purge(session, before)
        out.logs, out.jobs, out.more = out.logs + logs, out.jobs + rows, logs + rows > 0
        if not out.more:
            break
    log.info("purged", by=caller.name, **out.model_dump(mode="json"))
    return out
