"""Jobs are queued in the transaction that needs them, then claimed, renewed and ended.

All times are the database's. A claim is for one attempt and draws a token. Every write names the token. If a
write matches no row, the worker has lost the job: it was cancelled, or another worker may claim it.

    queued --claim--> running --finish--> done
      ^                  |----fail------> failed      by its own fault, for good
      |                  |----crash-----> failed      after MAX_CRASHES, or MAX_OUTAGES of the store, else
      '---- not_before --'                            back to queued, later
      ^---- postpone (waits for another job; counts toward nothing)
      ^---- release (shutdown; counts toward nothing), sweep (lease over; failed after MAX_LOSSES)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Double,
    Select,
    Update,
    and_,
    case,
    exists,
    func,
    or_,
    select,
    union,
    update,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from records.db import NEW_JOBS, NOW
from records.models import (
    ENDED,
    Checkpoint,
    DatasetRow,
    Evaluation,
    Job,
    JobKind,
    JobState,
    evaluation_shards,
)
from records.repositories import pauses, shards, turns, workers
from records.repositories.turns import claimable
from vcp_core.catalog.errors import VcpbenchError

MAX_CRASHES = 3
MAX_OUTAGES = 10  # attempts while the store is full or away: with the pauses below, about half an hour
MAX_LOSSES = 10
NO_TEAM = ""  # of jobs that a reader without a team asked for: `Job.team`
HIGH = 1  # priority of jobs that a gate waits for
LOW = -1  # priority of jobs that wait until no other job does
LOWEST = -2  # of jobs that wait even for those: nothing but a picture on a page needs them
RETRY_S = 5.0  # before the second attempt after a crash, doubled for each further one
LONGEST_RETRY_S = 300.0
CANCELLED_AT_ONCE = 2000  # waiting jobs, while the flow's lock is held
ERROR_CHARACTERS = 4000
_SUBJECTS: dict[type, InstrumentedAttribute[UUID | None]] = {
    Checkpoint: Job.checkpoint_id,
    DatasetRow: Job.dataset_id,
    Evaluation: Job.evaluation_id,
}
# The table checks that each job has one subject.
_SUBJECT_ID = func.coalesce(*_SUBJECTS.values(), Job.shard_id, Job.comparison_id, Job.media_id, Job.map_id)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One attempt at one job. `number` is the job's (`records.models.jobs.Job`)."""

    job_id: UUID
    token: UUID
    kind: JobKind
    subject_id: UUID
    number: int = 0


def enqueue(
    session: Session,
    kind: JobKind,
    *,
    team: str | None,
    checkpoint_id: UUID | None = None,
    dataset_id: UUID | None = None,
    evaluation_id: UUID | None = None,
    shard_id: UUID | None = None,
    comparison_id: UUID | None = None,
    media_id: UUID | None = None,
    map_id: UUID | None = None,
    number: int = 0,
    asked_at: datetime | None = None,
    priority: int = 0,
    total: int | None = None,
) -> None:
    """Queue a job, unless its subject has one of this kind and number. A worker is woken after the commit.

    It was asked for now if `asked_at` is left out.
    """
    values = {
        "id": uuid4(),
        "kind": kind,
        "queue": kind.queue,
        "team": team or NO_TEAM,
        "state": JobState.QUEUED,
        "checkpoint_id": checkpoint_id,
        "dataset_id": dataset_id,
        "evaluation_id": evaluation_id,
        "shard_id": shard_id,
        "comparison_id": comparison_id,
        "media_id": media_id,
        "map_id": map_id,
        "number": number,
        "asked_at": asked_at or NOW,
        "priority": priority,
        "total": total,
        "crashes": 0,
        "outages": 0,
        "losses": 0,
        "done": 0,
    }
    if num_rows(session, insert(Job).values(values).on_conflict_do_nothing()):
        wake_up_after_commit(session, kind.queue)


def wake_up_after_commit(session: Session, queue: str, times: int = 1) -> None:
    """Wake workers of a queue once this transaction is committed (`records.db.OnNewJobs`)."""
    session.info.setdefault(NEW_JOBS, Counter())[queue] += times


def claim(session: Session, queues: Sequence[str], *, worker_id: UUID, lease_s: float) -> Claim | None:
    """Claim the next job; None if no job waits.

    The highest priority comes first, then the team that was served longest ago, then what was asked for
    first. A worker that drains gets no job.
    """
    if not queues:  # a worker without queues gets no job
        return None
    pauses.lock_for_claim(session)
    if workers.is_draining(session, worker_id):
        return None
    token = uuid4()
    values = {
        "state": JobState.RUNNING,
        "token": token,
        "worker_id": worker_id,
        "lease_until": NOW + timedelta(seconds=lease_s),
        "started_at": NOW,
    }
    for first in turns.next_jobs(session, sorted(set(queues))):
        claimed = update(Job).where(Job.id == first).values(**values)
        row = session.execute(
            claimed.returning(Job.id, Job.kind, Job.number, _SUBJECT_ID),
            execution_options={"synchronize_session": False},
        ).one_or_none()
        if row is not None:
            job_id, kind, number, subject_id = row
            return Claim(job_id=job_id, token=token, kind=kind, subject_id=subject_id, number=number)
    return None


def tried_before() -> ColumnElement[bool]:
    """Whether an earlier attempt at the job crashed, met an outage, was lost or was given back."""
    return or_(Job.crashes + Job.outages + Job.losses > 0, Job.not_before.is_not(None))


def prioritise(session: Session, evaluation: Evaluation) -> None:
    """Give the live jobs of an evaluation, of its checkpoint and of its shards its priority.

    A job that other evaluations wait for, too, gets the highest of their priorities.
    """
    own = Job.evaluation_id == evaluation.id
    session.execute(update(Job).where(own, _is_live()).values(priority=evaluation.priority))
    other = aliased(Evaluation)
    highest = select(func.max(other.priority)).where(other.state.not_in(ENDED))
    of_checkpoint = highest.where(other.checkpoint_id == Job.checkpoint_id).correlate(Job).scalar_subquery()
    reading = update(Job).where(Job.checkpoint_id == evaluation.checkpoint_id, _is_live())
    session.execute(reading.values(priority=of_checkpoint))
    needed = evaluation_shards.c
    of_shard = (
        highest.join(evaluation_shards, needed.evaluation_id == other.id)
        .where(needed.shard_id == Job.shard_id)
        .correlate(Job)
        .scalar_subquery()
    )
    extracting = update(Job).where(Job.shard_id.in_(shards.of(evaluation)), _is_live())
    session.execute(extracting.values(priority=of_shard))


def hurry_shards(session: Session, evaluation: Evaluation) -> None:
    """Raise the jobs of an evaluation's shards to its priority."""
    of_shards = Job.shard_id.in_(shards.of(evaluation))
    lower = Job.priority < evaluation.priority
    session.execute(update(Job).where(of_shards, lower).values(priority=evaluation.priority))


def renew(session: Session, claim: Claim, *, lease_s: float, done: int = 0, total: int | None = None) -> bool:
    """Renew the lease and write the progress. Return False if the worker has lost the job.

    Progress never falls, even while a second attempt is behind the first. If the second attempt counts other
    units, the kept `done` is scaled to the new total.
    """
    kept: ColumnElement[Any] = cast(Any, Job.done)
    if total is not None:
        scaled = func.ceil(sql_cast(Job.done, Double) * total / Job.total)  # up: the share must not fall
        kept = case((and_(Job.total > 0, Job.total != total), scaled), else_=Job.done)
    values = {
        "lease_until": NOW + timedelta(seconds=lease_s),
        "done": func.greatest(kept, done),
        "total": func.coalesce(total, Job.total),
    }
    return bool(num_rows(session, _ours(claim).values(**values)))


def keep(session: Session, claim: Claim) -> bool:
    """Keep a claim until the transaction ends. Return False if the worker has lost the job.

    Until then nobody else cancels the job, claims it or gives it back.
    """
    ours = select(Job.id).where(*_is_ours(claim)).with_for_update(read=True)
    return session.scalar(ours) is not None


def finish(session: Session, claim: Claim) -> bool:
    """End a successful attempt. Return False if the worker has lost the job: it must then write nothing."""
    return bool(num_rows(session, _ours(claim).values(state=JobState.DONE, finished_at=NOW, error=None)))


def release(session: Session, claim: Claim) -> bool:
    """Give a job back, because the worker shuts down. The attempt does not count."""
    # `not_before` delays nothing here. It only notes that there was an attempt (`tried_before`).
    values = {"state": JobState.QUEUED, "token": None, "lease_until": None, "not_before": NOW}
    if not num_rows(session, _ours(claim).values(**values)):
        return False
    wake_up_after_commit(session, claim.kind.queue)
    return True


def postpone(session: Session, claim: Claim, reason: VcpbenchError, *, pause_s: float) -> bool:
    """Give a job back that must wait for another one. The attempt does not count."""
    values = {"state": JobState.QUEUED, "token": None, "lease_until": None, "error": reason}
    later = NOW + timedelta(seconds=pause_s)
    return bool(num_rows(session, _ours(claim).values(**values, not_before=later)))


def fail(session: Session, claim: Claim, error: VcpbenchError, *, log_tail: str | None = None) -> bool:
    """Fail a job because of its input. Another attempt would fail, too."""
    values = {"state": JobState.FAILED, "finished_at": NOW, "error": error.shortened(ERROR_CHARACTERS)}
    tail = None if log_tail is None else _text(log_tail)
    return bool(num_rows(session, _ours(claim).values(**values, log_tail=tail)))


def crash(
    session: Session,
    claim: Claim,
    error: VcpbenchError,
    *,
    log_tail: str | None = None,
    outage: bool = False,
) -> JobState | None:
    """End an attempt that failed by accident. The job is retried a few times, with growing pauses.

    Args:
        session: Of the caller.
        claim: The attempt.
        error: Why it failed.
        log_tail: The last lines that it printed.
        outage: Whether a store was full or away. Outages are counted apart: the job did not cause them.

    Returns:
        The job's state now; None if the worker has lost the job.
    """
    job = session.scalars(
        select(Job)
        .where(Job.id == claim.job_id, Job.token == claim.token, Job.state == JobState.RUNNING)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
    if job is None:
        return None
    job.outages, job.crashes = job.outages + outage, job.crashes + (not outage)
    attempts, limit = (job.outages, MAX_OUTAGES) if outage else (job.crashes, MAX_CRASHES)
    job.error = error.shortened(ERROR_CHARACTERS)
    job.log_tail = None if log_tail is None else _text(log_tail)
    job.lease_until = None
    if attempts >= limit:
        job.state = JobState.FAILED
        job.finished_at = cast(Any, NOW)
    else:
        job.state, job.token = JobState.QUEUED, None
        pause_s = min(RETRY_S * 2 ** (attempts - 1), LONGEST_RETRY_S)
        job.not_before = cast(Any, NOW + timedelta(seconds=pause_s))
    session.flush()
    return job.state


def cancel(session: Session, job_ids: Sequence[UUID]) -> None:
    """Cancel jobs. A worker notices at its next renewal that its job was cancelled."""
    _cancel(session, Job.id.in_(job_ids))


def _cancel(session: Session, *which: ColumnElement[bool]) -> None:
    ended = {"state": JobState.CANCELLED, "finished_at": NOW}
    session.execute(update(Job).where(*which, _is_live()).values(**ended))


def _is_live() -> ColumnElement[bool]:
    return Job.state.in_((JobState.QUEUED, JobState.RUNNING))


def cancel_own(session: Session, subject: Checkpoint | DatasetRow | Evaluation) -> None:
    """End the jobs about this one subject."""
    _cancel(session, _SUBJECTS[type(subject)] == subject.id)


def cancel_unshared(session: Session, evaluation: Evaluation, most: int) -> bool:
    """End the jobs of those of an evaluation's shards that no evaluation waits for any more.

    All that run are ended, and at most `most` that wait: the caller holds a lock that every write waits for.

    Returns:
        Whether some are left.
    """
    other = aliased(Evaluation)
    wanted = exists().where(
        evaluation_shards.c.shard_id == Job.shard_id,
        evaluation_shards.c.evaluation_id == other.id,
        other.state.not_in(ENDED),
    )
    unshared = (Job.shard_id.in_(shards.of(evaluation)), ~wanted)
    some = select(Job.id).where(*unshared, Job.state == JobState.QUEUED).limit(most)
    _cancel(session, Job.id.in_(some.scalar_subquery()))
    # Workers claim without the lock. So those that run come second, and a job that was claimed or given back
    # just now is seen by the third statement.
    _cancel(session, *unshared, Job.state == JobState.RUNNING)
    return session.scalar(select(exists().where(*unshared, _is_live()))) or False


def missing_shard(evaluation_id: UUID | InstrumentedAttribute[UUID]) -> Select[UUID]:
    """Select one shard whose features an evaluation still waits for; no row if it waits for none.

    It looks at one shard after the other, in the order of their ids, until one is missing. Ids are random, so
    shards end in another order, and a look finds a missing one after n / m shards, if m of n are missing. A
    join would read all n shards whenever one of them ends.
    """
    needed = evaluation_shards.alias()  # the caller's query may join the table itself
    state = select(Job.state).where(Job.shard_id == needed.c.shard_id).scalar_subquery()
    return (
        select(needed.c.shard_id)
        .where(needed.c.evaluation_id == evaluation_id, state != JobState.DONE)
        .order_by(needed.c.shard_id)
        .limit(1)
    )


def any_shard_missing(session: Session, evaluation: Evaluation) -> bool:
    """Whether an evaluation still waits for the features of one of its shards."""
    return session.scalar(missing_shard(evaluation.id)) is not None


def any_fit_missing(session: Session, evaluation: Evaluation) -> bool:
    """Whether a fit job of an evaluation is still to be done."""
    own = and_(Job.evaluation_id == evaluation.id, Job.kind == JobKind.FIT)
    return bool(session.scalar(select(exists().where(own, Job.state != JobState.DONE))))


def sweep(session: Session) -> tuple[int, list[Job]]:
    """Take jobs back whose lease is over.

    Returns:
        The number of requeued jobs, and the jobs that were lost too often and have failed.
    """
    lost = session.scalars(
        select(Job)
        .where(Job.state == JobState.RUNNING, Job.lease_until < NOW)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).all()
    failed = []
    for job in lost:
        job.losses += 1
        job.token, job.lease_until = None, None
        if job.losses >= MAX_LOSSES:
            job.state, job.finished_at = JobState.FAILED, cast(Any, NOW)
            job.error = VcpbenchError(
                f"{job.losses} workers fell silent at it; most likely it takes their machine down"
            )
            failed.append(job)
        else:
            job.state = JobState.QUEUED
            job.error = VcpbenchError("the worker that had it fell silent")
            wake_up_after_commit(session, job.queue)
    session.flush()
    return len(lost) - len(failed), failed


def num_claimable(session: Session) -> dict[str, int]:
    """Count the jobs that a worker may claim now, by queue."""
    rows = session.execute(select(Job.queue, func.count()).where(claimable()).group_by(Job.queue))
    return {queue: number for queue, number in rows}


def needed_by(
    evaluation_ids: Sequence[UUID], *, checkpoint_ids: Sequence[UUID], dataset_id: UUID | None = None
) -> Select[Any]:
    """Ids of the jobs of evaluations and their shards, of checkpoints, and of a dataset.

    It is a union. For OR, PostgreSQL would read the whole table.
    """
    of_shards = evaluation_shards.c.evaluation_id.in_(evaluation_ids)
    ways = [
        select(Job.id).where(Job.evaluation_id.in_(evaluation_ids)),
        select(Job.id).where(Job.checkpoint_id.in_(checkpoint_ids)),
        select(Job.id).join(evaluation_shards, evaluation_shards.c.shard_id == Job.shard_id).where(of_shards),
    ]
    if dataset_id is not None:
        ways.append(select(Job.id).where(Job.dataset_id == dataset_id))
    return select(union(*ways).subquery().c.id)


def _text(said: str) -> str:
    """Replace what PostgreSQL cannot store in the text of a process: NUL, and halves of surrogate pairs."""
    return said.replace("\0", "").encode("utf-8", "replace").decode()


def _is_ours(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    return Job.id == claim.job_id, Job.token == claim.token, Job.state == JobState.RUNNING


def _ours(claim: Claim) -> Update:
    return update(Job).where(*_is_ours(claim))


def num_rows(session: Session, statement: Any) -> int:
    """Execute a statement, and return how many rows it changed."""
    return cast("CursorResult[Any]", session.execute(statement)).rowcount
