"""Which job is next: those that cannot wait first, then teams take turns, then what was asked for first.

If a job's own age decided, all evaluations that wait would move on together, and none would end before the
last was planned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    ScalarSelect,
    String,
    and_,
    func,
    or_,
    select,
    text,
    tuple_,
    type_coerce,
)
from sqlalchemy.orm import Session, aliased

from records.db import NOW
from records.models import Job, JobState, Pause


def claimable(job: type[Job] = Job) -> ColumnElement[bool]:
    """Whether a worker may claim the job now.

    The job waits, no pause after a failed attempt holds it back, and no administrator paused its queue or
    kind.

    Args:
        job: `Job`, or an alias of it.
    """
    is_due = or_(job.not_before.is_(None), job.not_before <= NOW)
    return and_(job.state == JobState.QUEUED, is_due, ~paused(job))


def paused(job: type[Job] = Job) -> ColumnElement[bool]:
    """Whether an administrator paused the job's queue or kind.

    Args:
        job: `Job`, or an alias of it.
    """
    # Not EXISTS with the job's columns: PostgreSQL knows nothing of a table that is nearly always empty, and
    # would choose other plans for it. This list it reads once.
    what = select(Pause.what)
    return or_(job.queue.in_(what), type_coerce(job.kind, String).in_(what))


# A line holds the queued jobs of one queue, team and priority, those that were asked for first at its head: a
# range of ix_job_line. The recursion steps from line to line, and the join from each line to its first job.
# So the cost grows with the number of teams that wait, and not with the number of their jobs.
_LINES = text(
    """
    WITH RECURSIVE line (queue, team, priority) AS (
        SELECT first.* FROM unnest(CAST(:queues AS text[])) AS wanted (queue) CROSS JOIN LATERAL (
            SELECT job.queue, job.team, job.priority FROM job
            WHERE job.state = 'queued' AND job.queue = wanted.queue
            ORDER BY job.team, job.priority LIMIT 1
        ) AS first
        WHERE wanted.queue <> ALL(ARRAY(SELECT what FROM pause))
        UNION ALL
        SELECT next.* FROM line CROSS JOIN LATERAL (
            SELECT job.queue, job.team, job.priority FROM job
            WHERE job.state = 'queued' AND job.queue = line.queue
                AND (job.team, job.priority) > (line.team, line.priority)
            ORDER BY job.team, job.priority LIMIT 1
        ) AS next
    ), turn (team, at) AS (
        SELECT waiting.team, max(served.started_at)
        FROM (SELECT DISTINCT team FROM line) AS waiting
        CROSS JOIN unnest(CAST(:queues AS text[])) AS wanted (queue)
        LEFT JOIN LATERAL (
            SELECT job.started_at FROM job
            WHERE job.queue = wanted.queue AND job.team = waiting.team AND job.started_at IS NOT NULL
            ORDER BY job.started_at DESC LIMIT 1
        ) AS served ON true
        GROUP BY waiting.team
    )
    SELECT line.queue, line.team, line.priority
    FROM line JOIN turn ON turn.team = line.team CROSS JOIN LATERAL (
        SELECT job.asked_at, job.created_at, job.id FROM job
        WHERE job.state = 'queued' AND job.queue = line.queue AND job.team = line.team
            AND job.priority = line.priority
            AND (job.not_before IS NULL OR job.not_before <= clock_timestamp())
            AND job.kind <> ALL(ARRAY(SELECT what FROM pause))
        ORDER BY job.asked_at, job.created_at, job.id LIMIT 1
    ) AS head
    ORDER BY line.priority DESC, turn.at NULLS FIRST, head.asked_at, head.created_at, head.id
    """
)


def next_jobs(session: Session, queues: Sequence[str]) -> Iterator[ScalarSelect[UUID]]:
    """For each line that waits, a query that locks its first job and gives the id. Lines come by their turns.

    Another worker may lock the first job of a line at the same moment. Then the query finds the next job of
    the line, or none; then the next line has its turn.
    """
    for queue, team, priority in session.execute(_LINES, {"queues": list(queues)}).all():
        of_line = (Job.queue == queue, Job.team == team, Job.priority == priority)
        in_order = (Job.asked_at, Job.created_at, Job.id)
        first = select(Job.id).where(claimable(), *of_line).order_by(*in_order).limit(1)
        yield first.with_for_update(skip_locked=True).scalar_subquery()


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
    # queue: not for IN. greatest() passes over the NULL of a team that had no turn.
    turns_taken = []
    for queue in sorted(set(queues)):
        newest = select(served.started_at).where(
            served.queue == queue, served.team == waiting.c.team, served.started_at.is_not(None)
        )
        turns_taken.append(newest.order_by(served.started_at.desc()).limit(1).scalar_subquery())
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
    older = tuple_(other.asked_at, other.created_at, other.id) < (job.asked_at, job.created_at, job.id)
    rows = session.execute(
        select(
            turns.c.team,
            turns.c.at,
            func.count(),
            func.count().filter(older),
            func.min(other.asked_at),
        )
        .join(other, turns.c.team == other.team)
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
