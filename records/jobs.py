"""Jobs: queued in the transaction that needs them, claimed, renewed, ended; every write names its token.

All times are the database's. A claim is for one attempt: whoever holds its token may write, and a write that
matches no row means that the job is someone else's now, or nobody's.

    queued --claim--> running --finish--> done
      ^                  |----fail------> failed      by its own fault, for good
      |                  |----crash-----> failed      after MAX_CRASHES, or MAX_OUTAGES of the store, else
      '---- not_before --'                            back to queued, later
      ^---- release (shutdown; counts toward nothing), sweep (lease over; failed after MAX_LOSSES)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, cast
from uuid import UUID, uuid4

from sqlalchemy import (
    CTE,
    ColumnElement,
    CursorResult,
    Double,
    Select,
    Update,
    and_,
    case,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased

from records.db import NEW_JOBS
from records.models import Job, JobKind, JobState
from vcp_core.catalog.errors import VcpbenchError

MAX_CRASHES = 3
MAX_OUTAGES = 10  # attempts while the store is full or away: with the pauses below, about half an hour
MAX_LOSSES = 10
LOW = -1  # priority of what can wait until nothing else does
RETRY_S = 5.0  # before the second attempt after a crash, doubled for each further one
LONGEST_RETRY_S = 300.0
ERROR_CHARACTERS = 4000
NOW = func.clock_timestamp()  # not now(): a transaction that waited for a lock would see an old time


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One attempt at one job."""

    job_id: UUID
    token: UUID
    kind: JobKind
    subject_id: UUID


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
    priority: int = 0,
) -> None:
    """Queue a job for its one subject, unless it has one of this kind; a worker is woken after the commit."""
    values = {
        "id": uuid4(),
        "kind": kind,
        "queue": kind.queue,
        "team": team,
        "state": JobState.QUEUED,
        "checkpoint_id": checkpoint_id,
        "dataset_id": dataset_id,
        "evaluation_id": evaluation_id,
        "shard_id": shard_id,
        "comparison_id": comparison_id,
        "priority": priority,
        "crashes": 0,
        "outages": 0,
        "losses": 0,
        "done": 0,
    }
    if _rows(session, insert(Job).values(values).on_conflict_do_nothing()):
        wake_up_after_commit(session, kind.queue)


def wake_up_after_commit(session: Session, queue: str, times: int = 1) -> None:
    """OnNewJobs for a queue once this transaction is committed."""
    session.info.setdefault(NEW_JOBS, Counter())[queue] += times


def claim(session: Session, queues: Sequence[str], *, worker_id: UUID, lease_s: float) -> Claim | None:
    """The next job: of those that cannot wait, of the team that was served longest ago, the oldest.

    None if nothing waits.
    """
    if not queues:  # who takes none gets none
        return None
    chosen = session.execute(_next(tuple(sorted(set(queues))))).scalar_one_or_none()
    if chosen is None:
        return None
    token = uuid4()
    session.execute(
        update(Job)
        .where(Job.id == chosen.id)
        .values(
            state=JobState.RUNNING,
            token=token,
            worker_id=worker_id,
            lease_until=NOW + timedelta(seconds=lease_s),
            started_at=NOW,
        )
    )
    return Claim(job_id=chosen.id, token=token, kind=chosen.kind, subject_id=subject_of(chosen))


def claimable(job: type[Job] = Job) -> ColumnElement[bool]:
    """Whether a worker may claim the job now: it waits, and no pause after a failed attempt holds it back.

    Args:
        job: `Job`, or an alias of it.
    """
    return and_(job.state == JobState.QUEUED, or_(job.not_before.is_(None), job.not_before <= NOW))


def tried_before() -> ColumnElement[bool]:
    """Whether an earlier attempt at the job crashed, met an outage, was lost or was given back."""
    return or_(Job.crashes + Job.outages + Job.losses > 0, Job.not_before.is_not(None))


@cache
def _next(queues: tuple[str, ...]) -> Select[Job]:
    """What `claim` asks. Kept, because to make the statement takes longer than to run it."""
    job, turns = aliased(Job), _turns(queues)
    return (
        select(job)
        .join(turns, turns.c.team.is_not_distinct_from(job.team))
        .where(claimable(job), job.queue.in_(queues))
        .order_by(job.priority.desc(), turns.c.at.asc().nulls_first(), job.created_at, job.id)
        .limit(1)
        .with_for_update(of=job, skip_locked=True)
    )


def _turns(queues: Sequence[str]) -> CTE:
    """Of each team that has jobs in these queues: when it was served last (`at`)."""
    job, served = aliased(Job), aliased(Job)
    waiting = (
        select(job.team)
        .where(job.state == JobState.QUEUED, job.queue.in_(queues))
        .distinct()
        .subquery("waiting")
    )
    # Each is one step into ix_job_turn, however many jobs have ended, but only in its own order, of one
    # queue: not for IN, nor for IS NOT DISTINCT FROM. greatest() passes over the NULL of who had no turn.
    turns_taken = []
    order = (served.team.desc(), served.started_at.desc())
    for queue in sorted(set(queues)):
        newest = select(served.started_at).where(served.queue == queue, served.started_at.is_not(None))
        newest = newest.order_by(*order).limit(1)
        of_system = newest.where(served.team.is_(None)).scalar_subquery()
        of_team = newest.where(served.team == waiting.c.team).scalar_subquery()
        turns_taken.append(case((waiting.c.team.is_(None), of_system), else_=of_team))
    return (
        select(waiting.c.team, func.greatest(*turns_taken).label("at"))
        .cte("turns")
        .prefix_with("MATERIALIZED", dialect="postgresql")  # once for a team, not once for each of its jobs
    )


def num_before(session: Session, job: Job, queues: Sequence[str]) -> int:
    """How many jobs a worker of these queues takes before this one, if no others come.

    Jobs of a higher priority all come before it, and those of a lower one after it. Among its own, teams
    take turns. Before the k-th job of a team comes its turn k times, so of each other team that is to
    be served before it at most k jobs, and of each that is to be served after it at most k - 1.
    """
    other, turns = aliased(Job), _turns(queues)
    older = or_(
        other.created_at < job.created_at, and_(other.created_at == job.created_at, other.id < job.id)
    )
    rows = session.execute(
        select(
            turns.c.team,
            turns.c.at,
            func.count(),
            func.count().filter(older),
            func.min(other.created_at),
        )
        .join(other, turns.c.team.is_not_distinct_from(other.team))
        .where(claimable(other), other.queue.in_(queues), other.priority == job.priority)
        .group_by(turns.c.team, turns.c.at)
    ).all()
    higher = select(func.count()).where(
        claimable(other), other.queue.in_(queues), other.priority > job.priority
    )
    num_higher = session.scalar(higher) or 0
    ordered = sorted(rows, key=lambda row: (row.at is not None, row.at or row[4], row[4]))
    mine = next((index for index, row in enumerate(ordered) if row.team == job.team), None)
    if mine is None:
        return num_higher
    rounds = int(ordered[mine][3])
    return (
        num_higher
        + rounds
        + sum(min(int(row[2]), rounds + (index < mine)) for index, row in enumerate(ordered) if index != mine)
    )


def subject_of(job: Job) -> UUID:
    """The id of what the job is about."""
    found = job.checkpoint_id or job.dataset_id or job.evaluation_id or job.shard_id or job.comparison_id
    assert found is not None  # the table's check constraint
    return found


def hurry(session: Session, *which: ColumnElement[bool]) -> None:
    """Let these jobs wait no longer than others."""
    session.execute(update(Job).where(*which, Job.priority < 0).values(priority=0))


def renew(session: Session, claim: Claim, *, lease_s: float, done: int = 0, total: int | None = None) -> bool:
    """Keep the job for another lease, and say how far it is; False if it is no longer ours.

    A second attempt that is not as far yet as the first was takes nothing back: progress never falls. If it
    counts other units, the kept `done` is scaled to the new total.
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
    return bool(_rows(session, _ours(claim).values(**values)))


def finish(session: Session, claim: Claim) -> bool:
    """The attempt succeeded; False if it is no longer ours, and nothing may be written for it."""
    return bool(_rows(session, _ours(claim).values(state=JobState.DONE, finished_at=NOW, error=None)))


def release(session: Session, claim: Claim) -> bool:
    """Give the job back untouched: the worker shuts down."""
    # `not_before` holds nobody back here. It says that there was an attempt, which counts toward nothing.
    values = {"state": JobState.QUEUED, "token": None, "lease_until": None, "not_before": NOW}
    if not _rows(session, _ours(claim).values(**values)):
        return False
    wake_up_after_commit(session, claim.kind.queue)
    return True


def fail(session: Session, claim: Claim, error: VcpbenchError, *, log_tail: str | None = None) -> bool:
    """The attempt failed by its input, which another attempt would not change."""
    values = {"state": JobState.FAILED, "finished_at": NOW, "error": error.shortened(ERROR_CHARACTERS)}
    tail = None if log_tail is None else _text(log_tail)
    return bool(_rows(session, _ours(claim).values(**values, log_tail=tail)))


def crash(
    session: Session,
    claim: Claim,
    error: VcpbenchError,
    *,
    log_tail: str | None = None,
    outage: bool = False,
) -> JobState | None:
    """The attempt failed by accident: tried again a little later, a few times.

    Args:
        session: Of the caller.
        claim: Which attempt.
        error: Why.
        log_tail: What it printed last.
        outage: Whether a store was full or away: counted apart, for it says nothing of the job.

    Returns:
        The job's state now; None if it is no longer ours.
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
    """End jobs that nobody wants; whoever is at one notices at the next renewal."""
    session.execute(
        update(Job)
        .where(Job.id.in_(job_ids), Job.state.in_((JobState.QUEUED, JobState.RUNNING)))
        .values(state=JobState.CANCELLED, finished_at=NOW)
    )


def sweep(session: Session) -> tuple[int, list[Job]]:
    """Take jobs back whose lease is over.

    Returns:
        How many wait again, and those that were lost too often and have failed.
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


def try_lock(session: Session, name: str) -> bool:
    """An advisory lock until the transaction ends; False if another process has it."""
    return bool(session.scalar(text("SELECT pg_try_advisory_xact_lock(hashtext(:name))"), {"name": name}))


def lock(session: Session, name: str) -> None:
    """Wait for an advisory lock, and hold it until the transaction ends."""
    session.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": name})


def _text(said: str) -> str:
    """What a process said, as PostgreSQL can keep it: no NUL, no half of a surrogate pair."""
    return said.replace("\0", "").encode("utf-8", "replace").decode()


def _ours(claim: Claim) -> Update:
    return update(Job).where(Job.id == claim.job_id, Job.token == claim.token, Job.state == JobState.RUNNING)


def _rows(session: Session, statement: Any) -> int:
    return cast("CursorResult[Any]", session.execute(statement)).rowcount
