"""A worker that is held in the middle of a job: its child is stopped, so the job does not end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from typing import TypeVar
from uuid import UUID

from sqlalchemy import func, select

from records.models import Job, JobKind, JobState
from tests import patience
from tests.served import Served
from tests.workers import WorkerProcess
from vcp_core.walls import offered

T = TypeVar("T")


def jobs_of(api: Served, kind: JobKind, *states: JobState) -> Sequence[Job]:
    """The jobs of a kind that are in these states."""
    with api.database.session() as session:
        query = select(Job).where(Job.kind == kind, Job.state.in_(states or tuple(JobState)))
        return session.scalars(query).all()


def hold(api: Served, worker: WorkerProcess, kind: JobKind, lease_s: float) -> tuple[UUID, int]:
    """Stop a worker's child in the middle of a job of this kind.

    The job runs a moment before its child does: the worker may have to end another child first. The walls
    tell both apart, because only a child that decodes has them.
    The child may have answered just before it was stopped. So wait until a job is renewed or claimed after
    that: its child is stopped, and the worker cannot end the job.

    Returns:
        The job, and the process id of its child.
    """
    _wait_for(lambda: jobs_of(api, kind, JobState.RUNNING))
    child = worker.runner_child(walled=kind is JobKind.EXTRACT and not offered().lacking)
    os.kill(child, signal.SIGSTOP)
    with api.database.session() as session:
        stopped_at = session.scalars(select(func.clock_timestamp())).one()

    def renewed() -> list[UUID]:
        return [
            job.id
            for job in jobs_of(api, kind, JobState.RUNNING)
            if job.lease_until and (job.lease_until - stopped_at).total_seconds() > lease_s
        ]

    return _wait_for(renewed)[0], child


def _wait_for(look: Callable[[], T]) -> T:
    return patience.until(look, hopeless=WorkerProcess.casualty, every_s=0.01)
