"""Which job is next: those that cannot wait first, then teams take turns, then the oldest."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from sqlalchemy import CTE, ColumnElement, Select, and_, case, func, or_, select
from sqlalchemy.orm import Session, aliased

from records.db import NOW
from records.models import Job, JobState


def claimable(job: type[Job] = Job) -> ColumnElement[bool]:
    """Whether a worker may claim the job now: it waits, and no pause after a failed attempt holds it back.

    Args:
        job: `Job`, or an alias of it.
    """
    return and_(job.state == JobState.QUEUED, or_(job.not_before.is_(None), job.not_before <= NOW))


@cache
def next_job(queues: tuple[str, ...]) -> Select[Job]:
    """The statement of `claim`. It is cached, because making it takes longer than running it."""
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
    """For each team with jobs in these queues, the time when it was served last (`at`)."""
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
