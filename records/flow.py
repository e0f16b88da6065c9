"""What follows from what: the states of evaluations, and all that moves them.

Every change happens under one advisory lock, so each sees all earlier ones: two shards that finish at once
cannot both miss that they were the last, and no two transactions wait for each other in a circle. The lock is
held for milliseconds, a few times a minute and worker; claims and renewals do not take it.

Callers take the lock, call what they want in the same transaction, and commit it. Every function that changes
a state refuses to run without the lock. All SQL is in `records.repositories`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar, cast
from uuid import UUID

from sqlalchemy.orm import Session

from records import db
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
    Shard,
)
from records.repositories import evaluations, jobs, locks
from vcp_core.catalog.errors import VcpbenchError
from vcp_core.catalog.versions import engine

P = ParamSpec("P")
T = TypeVar("T")
FLOW = "vcpbench.flow"
UNWANTED = VcpbenchError("nobody waited for it any more")
NOW = cast(Any, db.NOW)


def lock(session: Session) -> None:
    """Take the flow's lock until the transaction ends.

    Rows that were read before are read again: they may have changed while we waited.
    """
    locks.take(session, FLOW)
    session.expire_all()


def _under_lock(change: Callable[Concatenate[Session, P], T]) -> Callable[Concatenate[Session, P], T]:
    """Refuse a call without the flow's lock: without it, two shards that end at once are both not the last.

    Raises:
        LockNotHeld: If the transaction does not hold it.
    """

    def checked(session: Session, /, *arguments: P.args, **named: P.kwargs) -> T:
        locks.expect(session, FLOW)
        return change(session, *arguments, **named)

    functools.update_wrapper(checked, change)
    return checked


@_under_lock
def find_or_create(
    session: Session,
    checkpoint: Checkpoint,
    dataset: DatasetRow,
    protocol_hash: str,
    *,
    team: str,
    is_control: bool = False,
    priority: int = 0,
) -> tuple[Evaluation, bool]:
    """Find the evaluation of this checkpoint by this engine, or make it. True means that it is new.

    An evaluation of low priority that is under way gets the usual priority once somebody asks for that.
    """
    found = evaluations.reusable(session, checkpoint, dataset, protocol_hash)
    if found is not None:
        if found.priority < priority:
            _hurry(session, found)
        return found, False
    evaluation = Evaluation(
        checkpoint_id=checkpoint.id,
        dataset_id=dataset.id,
        protocol_hash=protocol_hash,
        engine=engine(),
        priority=priority,
        team=team,
        is_control=is_control,
        state=EvaluationState.WAITING,
    )
    session.add(evaluation)
    session.flush()
    session.refresh(evaluation)
    advance(session, evaluation)
    return evaluation, True


def _hurry(session: Session, evaluation: Evaluation) -> None:
    """Give an evaluation, its controls, and all their jobs the usual priority."""
    for one in (evaluation, *evaluation.controls):
        one.priority = 0
        jobs.hurry(session, one)


@_under_lock
def advance(session: Session, evaluation: Evaluation) -> None:
    """Move an evaluation as far as it can go by itself."""
    if evaluation.state is EvaluationState.WAITING:
        _leave_waiting(session, evaluation)
    elif evaluation.state is EvaluationState.RUNNING:
        _leave_running(session, evaluation)


def _leave_waiting(session: Session, evaluation: Evaluation) -> None:
    checkpoint, dataset = evaluation.checkpoint, evaluation.dataset
    if checkpoint.state is CheckpointState.REJECTED:
        fail(session, evaluation, _known(checkpoint.reason).within("the checkpoint was rejected: "))
    elif dataset.state is DatasetState.FAILED:
        words = f"the dataset {dataset.name} cannot be used: "
        fail(session, evaluation, _known(dataset.reason).within(words))
    elif checkpoint.state is CheckpointState.READY and dataset.state is DatasetState.READY:
        if evaluation.older and not _renewed(session, evaluation):
            return
        # When it was asked for, its videos may not have been known; now they may turn out to be another's.
        twin = evaluations.reusable(session, checkpoint, dataset, evaluation.protocol_hash, begun=True)
        if twin is not None:
            _same_as(session, evaluation, twin, "their videos are equal")
            return
        evaluation.state, evaluation.started_at = EvaluationState.PLANNING, NOW
        _enqueue(session, JobKind.PLAN, evaluation)


def _renewed(session: Session, evaluation: Evaluation) -> bool:
    """Let this engine make what another was asked for; False if it has been asked for that already."""
    found = evaluations.reusable(session, evaluation.checkpoint, evaluation.dataset, evaluation.protocol_hash)
    if found is not None:
        _same_as(session, evaluation, found, "it was asked for again after an update")
        return False
    evaluation.engine = engine()
    return True


def _same_as(session: Session, evaluation: Evaluation, other: Evaluation, why: str) -> None:
    state = "done" if other.state.ended else "under way"
    same = f"the same as evaluation {other.id}, which is {state}: {why}"
    evaluation.reason = VcpbenchError(same, evaluation=str(other.id))
    _end(session, evaluation, EvaluationState.CANCELLED)


def _enqueue(session: Session, kind: JobKind, evaluation: Evaluation) -> None:
    jobs.enqueue(
        session, kind, team=evaluation.team, evaluation_id=evaluation.id, priority=evaluation.priority
    )


def _leave_running(session: Session, evaluation: Evaluation) -> None:
    session.flush()
    for control in evaluation.controls:
        if control.state.ended and control.state is not EvaluationState.DONE:
            checkpoint, reason = control.checkpoint, control.reason or VcpbenchError("it was cancelled")
            random_weights = f"random-weights control (seed {checkpoint.seed})"
            what = "pixel baseline" if checkpoint.is_pixels else random_weights
            fail(session, evaluation, reason.within(f"its {what} failed: "), control.log_tail)
            return
    waits_for_control = any(control.state is not EvaluationState.DONE for control in evaluation.controls)
    if waits_for_control or jobs.any_shard_missing(session, evaluation):
        return
    evaluation.state = EvaluationState.SCORING
    _enqueue(session, JobKind.SCORE, evaluation)


@_under_lock
def checkpoint_ended(session: Session, checkpoint: Checkpoint) -> None:
    """A checkpoint is ready or rejected: whoever waits for it goes on."""
    session.flush()
    _advance_all(session, evaluations.of_checkpoint(session, checkpoint.id))


@_under_lock
def dataset_ended(session: Session, dataset: DatasetRow) -> None:
    """A dataset is ready or failed: whoever waits for it goes on."""
    session.flush()
    _advance_all(session, evaluations.of_dataset(session, dataset.id))


@_under_lock
def shard_done(session: Session, shard_id: UUID) -> None:
    """A shard's features are there: the evaluations that it was the last for go on to scoring."""
    _advance_all(session, evaluations.needing_shard(session, shard_id))


@_under_lock
def planned(
    session: Session, evaluation: Evaluation, shards: Iterable[Shard], controls: Iterable[Evaluation]
) -> None:
    """The plan is made: its shards and controls are known, new ones among them are queued."""
    if evaluation.older and not _renewed(session, evaluation):  # an update came before anything was computed
        return
    evaluation.shards = list(shards)
    evaluation.controls = list(controls)
    evaluation.state = EvaluationState.RUNNING
    session.flush()
    for shard in evaluation.shards:
        jobs.enqueue(
            session,
            JobKind.EXTRACT,
            team=evaluation.team,
            shard_id=shard.id,
            priority=evaluation.priority,
        )
    if evaluation.priority == 0:  # some are shared with others that can wait
        jobs.hurry_shards(session, evaluation)
    advance(session, evaluation)


@_under_lock
def scored(session: Session, evaluation: Evaluation) -> None:
    """The scores are there: it is done, and so may be those that wait for it as their control."""
    evaluation.state, evaluation.finished_at = EvaluationState.DONE, NOW
    session.flush()
    _advance_all(session, evaluations.needing_control(session, evaluation))


@_under_lock
def fail(
    session: Session, evaluation: Evaluation, reason: VcpbenchError, log_tail: str | None = None
) -> None:
    """End an evaluation with the reason, and those that need it."""
    if evaluation.state.ended:
        return
    evaluation.reason, evaluation.log_tail = reason, log_tail
    _end(session, evaluation, EvaluationState.FAILED)


@_under_lock
def cancel(session: Session, evaluation: Evaluation) -> None:
    """End an evaluation because its owner wants so; what only it needed ends with it."""
    if not evaluation.state.ended:
        _end(session, evaluation, EvaluationState.CANCELLED)


def _end(session: Session, evaluation: Evaluation, state: EvaluationState) -> None:
    evaluation.state, evaluation.finished_at = state, NOW
    session.flush()
    jobs.cancel_own(session, evaluation)
    jobs.cancel_unshared(session, evaluation)
    for control in list(evaluation.controls):
        if not evaluations.needing_control(session, control):
            cancel(session, control)
            if control.checkpoint.state is CheckpointState.INGESTING:
                forget_control(session, control.checkpoint)
    forget_dataset(session, evaluation.dataset)
    _advance_all(session, evaluations.needing_control(session, evaluation))


@_under_lock
def forget_control(session: Session, checkpoint: Checkpoint) -> None:
    """Nobody waits for these random weights any more; who needs them next makes them anew."""
    jobs.cancel_own(session, checkpoint)
    checkpoint.state, checkpoint.control_key = CheckpointState.REJECTED, None
    checkpoint.reason = UNWANTED


@_under_lock
def forget_dataset(session: Session, dataset: DatasetRow) -> None:
    """Stop the indexing of videos that nobody waits for any more; it is begun anew for whoever asks next.

    An evaluation that has not ended waits for it. So does whoever registered it, until it is retired. Nobody
    else registered a dataset that came with an evaluation's request.
    """
    if dataset.state is not DatasetState.INDEXING or (dataset.retired_at is None and not dataset.on_demand):
        return
    session.flush()
    if evaluations.any_live_on(session, dataset):
        return
    jobs.cancel_own(session, dataset)
    dataset.state, dataset.reason = DatasetState.FAILED, UNWANTED
    dataset.retired_at = dataset.retired_at or NOW
    session.flush()


@_under_lock
def job_failed(session: Session, job: Job) -> None:
    """A job failed for good: what it was about fails with its reason."""
    _ON_FAILED[job.kind](session, job)


def _checkpoint_failed(session: Session, job: Job) -> None:
    checkpoint = session.get_one(Checkpoint, job.checkpoint_id)
    checkpoint.state, checkpoint.reason = CheckpointState.REJECTED, job.error
    checkpoint.control_key = None  # a control may be tried again by the next evaluation
    checkpoint_ended(session, checkpoint)


def _dataset_failed(session: Session, job: Job) -> None:
    dataset = session.get_one(DatasetRow, job.dataset_id)
    dataset.state, dataset.reason = DatasetState.FAILED, job.error
    dataset_ended(session, dataset)


def _evaluation_failed(session: Session, job: Job) -> None:
    fail(session, session.get_one(Evaluation, job.evaluation_id), _known(job.error), job.log_tail)


def _shard_failed(session: Session, job: Job) -> None:
    assert job.shard_id is not None
    for evaluation in evaluations.needing_shard(session, job.shard_id):
        fail(session, evaluation, _known(job.error), job.log_tail)


def _comparison_failed(session: Session, job: Job) -> None:
    comparison = session.get_one(Comparison, job.comparison_id)
    comparison.state, comparison.reason = ComparisonState.FAILED, job.error
    comparison.finished_at = NOW


_ON_FAILED: Mapping[JobKind, Callable[[Session, Job], None]] = {
    JobKind.INGEST: _checkpoint_failed,
    JobKind.CALIBRATE: _checkpoint_failed,
    JobKind.INDEX: _dataset_failed,
    JobKind.PLAN: _evaluation_failed,
    JobKind.SCORE: _evaluation_failed,
    JobKind.EXTRACT: _shard_failed,
    JobKind.COMPARE: _comparison_failed,
}


def _known(error: VcpbenchError | None) -> VcpbenchError:
    return error or VcpbenchError("no reason was left behind")


def _advance_all(session: Session, waiting: Iterable[Evaluation]) -> None:
    for evaluation in waiting:
        advance(session, evaluation)
