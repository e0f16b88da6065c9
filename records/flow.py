"""The states of evaluations, and every change of them.

Every change happens under one advisory lock, so each change sees all earlier ones. Without the lock, two
shards that finish at once could both miss that they are the last. With one lock, no two transactions wait
for each other in a circle. A worker holds the lock for milliseconds, a few times a minute. Claims and
renewals do not take it.

A caller takes the lock, calls these functions in the same transaction, and commits. Every function that
changes a state refuses to run without the lock. All SQL is in `records.repositories`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Concatenate, ParamSpec, TypeVar, cast
from uuid import UUID

from sqlalchemy.orm import Session

from records import db, events
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
    MapRow,
    MapState,
    Media,
    MediaState,
)
from records.repositories import checkpoints, evaluations, jobs, locks, many_jobs, shards
from vcp_core.catalog.errors import VcpbenchError
from vcp_core.catalog.readings import version_of
from vcp_core.catalog.versions import engine

P = ParamSpec("P")
T = TypeVar("T")
FLOW = "vcpbench.flow"
UNWANTED = VcpbenchError("nobody waited for it any more")
NOW = cast(Any, db.NOW)


def lock(session: Session) -> None:
    """Take the flow's lock until the transaction ends.

    Every row that the session has read is read again on its next use, because it may have changed while this
    transaction waited.
    """
    locks.take(session, FLOW)
    session.expire_all()


def _under_lock(change: Callable[Concatenate[Session, P], T]) -> Callable[Concatenate[Session, P], T]:
    """Make a function refuse to run without the flow's lock.

    Raises:
        LockNotHeld: If the transaction does not hold the lock.
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
    priority: int = 0,
) -> tuple[Evaluation, bool]:
    """Find the evaluation of this checkpoint by this version, or make it. True means that it is new.

    If the found evaluation has a lower priority than asked for, it gets this one.
    """
    ids = [checkpoint.id]
    found, new = find_or_create_all(session, ids, dataset, protocol_hash, team=team, priority=priority)
    return found[0], bool(new)


@_under_lock
def find_or_create_all(
    session: Session,
    checkpoint_ids: Sequence[UUID],
    dataset: DatasetRow,
    protocol_hash: str,
    *,
    team: str,
    is_control: bool = False,
    priority: int = 0,
    asked_at: datetime | None = None,
) -> tuple[list[Evaluation], set[UUID]]:
    """Find or make the evaluations of several checkpoints, and return them with the ids of the new ones.

    Finding and making take four statements, however many checkpoints there are. New ones were asked for now
    if `asked_at` is left out.
    """
    found = evaluations.all_reusable(session, checkpoint_ids, dataset, protocol_hash)
    for one in found.values():
        if one.priority < priority and not one.state.ended:
            prioritise(session, one, priority)
    missing = [checkpoint_id for checkpoint_id in checkpoint_ids if checkpoint_id not in found]
    scheme_versions = checkpoints.scheme_versions(session, missing)
    made = [
        Evaluation(
            checkpoint_id=checkpoint_id,
            dataset_id=dataset.id,
            protocol_hash=protocol_hash,
            engine=engine(),
            scheme_version=scheme_versions[checkpoint_id],
            priority=priority,
            team=team,
            is_control=is_control,
            asked_at=asked_at or NOW,
            state=EvaluationState.WAITING,
        )
        for checkpoint_id in missing
    ]
    session.add_all(made)
    session.flush()
    for one in evaluations.these(session, [one.id for one in made]):
        found[one.checkpoint_id] = one
        advance(session, one)
    return [found[checkpoint_id] for checkpoint_id in checkpoint_ids], {one.id for one in made}


@_under_lock
def prioritise(session: Session, evaluation: Evaluation, priority: int) -> None:
    """Give an evaluation, its controls, and their jobs another priority.

    What other evaluations wait for, too, gets the highest of their priorities.
    """
    evaluation.priority = priority
    session.flush()
    jobs.prioritise(session, evaluation)
    for control in evaluation.controls:
        if not control.state.ended:
            control.priority = max(one.priority for one in evaluations.needing_control(session, control))
            session.flush()
            jobs.prioritise(session, control)


@_under_lock
def advance(session: Session, evaluation: Evaluation) -> None:
    """Move an evaluation to its next state, if everything that it waits for is there."""
    if evaluation.state is EvaluationState.WAITING:
        _leave_waiting(session, evaluation)
    elif evaluation.state is EvaluationState.RUNNING:
        _leave_running(session, evaluation)
    elif evaluation.state is EvaluationState.SCORING:
        _score_if_fitted(session, evaluation)


def _leave_waiting(session: Session, evaluation: Evaluation) -> None:
    checkpoint, dataset = evaluation.checkpoint, evaluation.dataset
    if checkpoint.state is CheckpointState.REJECTED:
        fail(session, evaluation, _known(checkpoint.reason).within("the checkpoint was rejected: "))
    elif dataset.state is DatasetState.FAILED:
        words = f"the dataset {dataset.name} cannot be used: "
        fail(session, evaluation, _known(dataset.reason).within(words))
    elif checkpoint.state is CheckpointState.READY and dataset.state is DatasetState.READY:
        if (evaluation.older or evaluation.outdated) and not _renewed(session, evaluation):
            return
        # The videos may not have been known when the evaluation was created. Now that they are, another
        # evaluation of the same videos may exist.
        twin = evaluations.reusable(session, checkpoint, dataset, evaluation.protocol_hash, begun=True)
        if twin is not None:
            _same_as(session, evaluation, twin, "their videos are equal")
            return
        evaluation.state, evaluation.started_at = EvaluationState.PLANNING, NOW
        events.state_changed(session, evaluation)
        _enqueue(session, JobKind.PLAN, evaluation)


def _renewed(session: Session, evaluation: Evaluation) -> bool:
    """Let the current engine and key scheme make an evaluation that older ones were asked for.

    Return False, and cancel the evaluation, if there is such an evaluation by the current ones already.
    """
    found = evaluations.reusable(session, evaluation.checkpoint, evaluation.dataset, evaluation.protocol_hash)
    if found is not None:
        _same_as(session, evaluation, found, "it was asked for again after an update")
        return False
    evaluation.engine = engine()
    evaluation.scheme_version = version_of(evaluation.checkpoint.backbone, evaluation.checkpoint.scheme)
    return True


def _same_as(session: Session, evaluation: Evaluation, other: Evaluation, why: str) -> None:
    state = "done" if other.state.ended else "under way"
    same = f"the same as evaluation {other.id}, which is {state}: {why}"
    evaluation.reason = VcpbenchError(same, evaluation=str(other.id))
    _end(session, evaluation, EvaluationState.CANCELLED)


def _enqueue(
    session: Session, kind: JobKind, evaluation: Evaluation, *, number: int = 0, total: int | None = None
) -> None:
    jobs.enqueue(
        session,
        kind,
        team=evaluation.team,
        evaluation_id=evaluation.id,
        number=number,
        asked_at=evaluation.asked_at,
        priority=evaluation.priority,
        total=total,
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
    events.state_changed(session, evaluation)
    for number, fit in enumerate(evaluation.fits or ()):
        _enqueue(session, JobKind.FIT, evaluation, number=number, total=fit["units"])
    _score_if_fitted(session, evaluation)


def _score_if_fitted(session: Session, evaluation: Evaluation) -> None:
    if not jobs.any_fit_missing(session, evaluation):
        _enqueue(session, JobKind.SCORE, evaluation)


@_under_lock
def checkpoint_ended(session: Session, checkpoint: Checkpoint) -> None:
    """Advance the evaluations that wait for a checkpoint, which is now ready or rejected."""
    session.flush()
    events.checkpoint_ended(session, checkpoint)
    _advance_all(session, evaluations.of_checkpoint(session, checkpoint.id))


@_under_lock
def dataset_ended(session: Session, dataset: DatasetRow) -> None:
    """Advance the evaluations that wait for a dataset, which is now ready or failed."""
    session.flush()
    _advance_all(session, evaluations.of_dataset(session, dataset.id))


@_under_lock
def shard_done(session: Session, shard_id: UUID) -> None:
    """Advance the evaluations for which a finished shard was the last."""
    _advance_all(session, evaluations.completed_by(session, shard_id))


@_under_lock
def fitted(session: Session, evaluation: Evaluation) -> None:
    """Queue the score job of an evaluation, if the fit job that ended was the last."""
    advance(session, evaluation)


@_under_lock
def planned(
    session: Session, evaluation: Evaluation, shard_ids: Sequence[UUID], controls: Iterable[Evaluation]
) -> None:
    """Record the shards and controls of a planned evaluation, and queue the new ones among them.

    Shards that are linked to the evaluation already (`shards.add`) need not be named again.
    """
    # vcpbench may have been updated before any computation.
    if (evaluation.older or evaluation.outdated) and not _renewed(session, evaluation):
        return
    shards.link(session, evaluation.id, shard_ids)
    evaluation.controls = list(controls)
    evaluation.state = EvaluationState.RUNNING
    events.state_changed(session, evaluation)
    session.flush()
    many_jobs.enqueue_shards(session, evaluation)
    if evaluation.priority > jobs.LOW:  # an evaluation of lower priority may have queued some of these shards
        jobs.hurry_shards(session, evaluation)
    advance(session, evaluation)


@_under_lock
def scored(session: Session, evaluation: Evaluation) -> None:
    """Mark a scored evaluation as done, and advance the evaluations that need it as their control."""
    evaluation.state, evaluation.finished_at = EvaluationState.DONE, NOW
    session.flush()
    shards.used(session, evaluation)
    events.evaluation_ended(session, evaluation)
    evaluations.forget_parts(session, evaluation.id)
    _advance_all(session, evaluations.needing_control(session, evaluation))


@_under_lock
def fail(
    session: Session, evaluation: Evaluation, reason: VcpbenchError, log_tail: str | None = None
) -> None:
    """Fail an evaluation with a reason. Evaluations that need it as their control fail, too."""
    if evaluation.state.ended:
        return
    evaluation.reason, evaluation.log_tail = reason, log_tail
    _end(session, evaluation, EvaluationState.FAILED)


@_under_lock
def cancel(session: Session, evaluation: Evaluation, *, most: int | None = None) -> None:
    """Cancel an evaluation for its owner, and cancel all work that only this evaluation needed.

    With `most`, at most so many waiting jobs of each network are cancelled now. `end_left_jobs` cancels more.
    """
    if not evaluation.state.ended:
        _end(session, evaluation, EvaluationState.CANCELLED, most)


def _end(session: Session, evaluation: Evaluation, state: EvaluationState, most: int | None = None) -> None:
    """End an evaluation, and all that only it needs; at most `most` jobs that wait for each network."""
    evaluation.state, evaluation.finished_at = state, NOW
    session.flush()
    events.evaluation_ended(session, evaluation)
    most = most or max(1, jobs.CANCELLED_AT_ONCE // (1 + len(evaluation.controls)))
    jobs.cancel_own(session, evaluation)
    evaluation.leaves_jobs = jobs.cancel_unshared(session, evaluation, most)
    evaluations.forget_parts(session, evaluation.id)
    for control in list(evaluation.controls):
        if not evaluations.needing_control(session, control):
            if not control.state.ended:
                _end(session, control, EvaluationState.CANCELLED, most)
            if control.checkpoint.state is CheckpointState.INGESTING:
                forget_control(session, control.checkpoint)
    forget_dataset(session, evaluation.dataset)
    _advance_all(session, evaluations.needing_control(session, evaluation))


@_under_lock
def end_left_jobs(session: Session) -> bool:
    """End some of the jobs that cancelled and failed evaluations left behind.

    Returns:
        Whether more may be there. Then call it again in a new transaction, so that others get the lock.
    """
    evaluation = evaluations.leaving_jobs(session)
    if evaluation is None:
        return False
    evaluation.leaves_jobs = jobs.cancel_unshared(session, evaluation, jobs.CANCELLED_AT_ONCE)
    return True


@_under_lock
def forget_control(session: Session, checkpoint: Checkpoint) -> None:
    """Give up random weights that nobody waits for. The next evaluation that needs them makes them anew."""
    jobs.cancel_own(session, checkpoint)
    checkpoint.state, checkpoint.control_key = CheckpointState.REJECTED, None
    checkpoint.reason = UNWANTED


@_under_lock
def disown_control(session: Session, checkpoint: Checkpoint) -> None:
    """Let the next evaluation that needs these random weights make others. Scores that used them stay."""
    checkpoint.control_key = None


@_under_lock
def forget_dataset(session: Session, dataset: DatasetRow) -> None:
    """Stop the indexing of a dataset if nobody waits for it. The next request starts the indexing anew.

    Evaluations that have not ended wait for it. The team that registered the dataset also waits, until the
    dataset is retired. If an evaluation's request registered the dataset, only evaluations wait.
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
    """Fail the subject of a job that failed for good, with the job's reason."""
    _ON_FAILED[job.kind](session, job)


def _checkpoint_failed(session: Session, job: Job) -> None:
    checkpoint = session.get_one(Checkpoint, job.checkpoint_id)
    checkpoint.state, checkpoint.reason = CheckpointState.REJECTED, job.error
    checkpoint.control_key = None  # so the next evaluation may make this control again
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
    if comparison.state is ComparisonState.WAITING:  # a comparison of many may have made it meanwhile
        comparison.state, comparison.reason = ComparisonState.FAILED, job.error
        comparison.finished_at = NOW


def _media_failed(session: Session, job: Job) -> None:
    media = session.get_one(Media, job.media_id)
    media.state, media.reason, media.finished_at = MediaState.FAILED, job.error, NOW


def _map_failed(session: Session, job: Job) -> None:
    row = session.get_one(MapRow, job.map_id)
    row.state, row.reason, row.finished_at = MapState.FAILED, job.error, NOW


_ON_FAILED: Mapping[JobKind, Callable[[Session, Job], None]] = {
    JobKind.INGEST: _checkpoint_failed,
    JobKind.CALIBRATE: _checkpoint_failed,
    JobKind.INDEX: _dataset_failed,
    JobKind.PLAN: _evaluation_failed,
    JobKind.FIT: _evaluation_failed,
    JobKind.SCORE: _evaluation_failed,
    JobKind.EXTRACT: _shard_failed,
    JobKind.COMPARE: _comparison_failed,
    JobKind.MEDIA: _media_failed,
    JobKind.MAP: _map_failed,
}


def _known(error: VcpbenchError | None) -> VcpbenchError:
    return error or VcpbenchError("no reason was left behind")


def _advance_all(session: Session, waiting: Iterable[Evaluation]) -> None:
    for evaluation in waiting:
        advance(session, evaluation)
