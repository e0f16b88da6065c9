"""Workers that share the scoring of one evaluation, part by part."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from records.models import Job, JobKind, JobState, PartRow
from records.settings import Settings
from tests import patience
from tests.e2e.test_way import let_leases_end, register, results
from tests.served import Served
from tests.workers import WorkerProcess

StartWorker = Callable[..., WorkerProcess]
EACH_PART = {"VCPBENCH_FIT_VALUES": "0"}  # each part is a job, however small the dataset is
NUM_PARTS = 5  # of `light`: two heads, the linear probe, nearest neighbours, one ranking

pytestmark = pytest.mark.long


def fits(api: Served, *states: JobState) -> list[Job]:
    """The jobs that fit, in these states."""
    with api.database.session() as session:
        query = select(Job).where(Job.kind == JobKind.FIT, Job.state.in_(states or tuple(JobState)))
        return list(session.scalars(query))


def now(api: Served) -> datetime:
    """The database's time."""
    with api.database.session() as session:
        return session.scalars(select(func.clock_timestamp())).one()


def stop_in_a_part(api: Served, worker: WorkerProcess, lease_s: float) -> tuple[UUID, int]:
    """Stop a worker's child in the middle of a part; the job, and the child.

    The child may have answered just before it was stopped. So wait until a job is renewed or claimed after
    that: its child is stopped, and the worker cannot end the job.
    """

    def running() -> Job | None:
        found = fits(api, JobState.RUNNING)
        return found[0] if found else None

    patience.until(running, hopeless=WorkerProcess.casualty, every_s=0.01)
    child = worker.runner_child()
    os.kill(child, signal.SIGSTOP)
    stopped_at = now(api)

    def stuck() -> Job | None:
        job = running()
        late = job and job.lease_until and (job.lease_until - stopped_at).total_seconds() > lease_s
        return job if late else None

    job = patience.until(stuck, hopeless=WorkerProcess.casualty, every_s=0.1)
    assert job is not None
    return job.id, child


def wait_for_the_others(api: Served) -> None:
    """Until all parts of one evaluation but the one that is stuck are done."""

    def look() -> bool:
        return len(fits(api, JobState.DONE)) == NUM_PARTS - 1 and not fits(api, JobState.QUEUED)

    patience.until(look, hopeless=WorkerProcess.casualty, every_s=0.1)


def asked(api: Served, folder: Path, checkpoint: Path) -> str:
    register(api, folder)
    return str(api.evaluate(api.upload(checkpoint)["id"], "small", "light")["id"])


def test_two_workers_share_the_parts_of_one_evaluation_and_change_no_digit(
    api: Served,
    settings: Settings,
    start_worker: StartWorker,
    folder: Path,
    checkpoint: Path,
    undisturbed: Any,
) -> None:
    first = start_worker(**EACH_PART)
    evaluation_id = asked(api, folder, checkpoint)
    held, child = stop_in_a_part(api, first, settings.lease_s)
    start_worker(**EACH_PART)
    wait_for_the_others(api)
    os.kill(child, signal.SIGCONT)
    api.follow(evaluation_id)
    assert results(api, evaluation_id)["benchmarks"] == undisturbed
    done = fits(api, JobState.DONE)
    assert len(done) == 2 * NUM_PARTS  # of the network and of its control
    [one] = [job for job in done if job.id == held]
    of_control = [job for job in done if job.evaluation_id == one.evaluation_id]
    assert len(of_control) == NUM_PARTS
    assert len({job.worker_id for job in of_control}) == 2
    assert sum(job.losses + job.crashes for job in done) == 0
    with api.database.session() as session:
        assert session.scalars(select(PartRow.part)).all() == []


def test_a_worker_that_is_killed_in_a_part_loses_that_part_only(
    api: Served,
    settings: Settings,
    start_worker: StartWorker,
    folder: Path,
    checkpoint: Path,
    undisturbed: Any,
) -> None:
    first = start_worker(**EACH_PART)
    evaluation_id = asked(api, folder, checkpoint)
    held, child = stop_in_a_part(api, first, settings.lease_s)
    start_worker(**EACH_PART)
    wait_for_the_others(api)
    before = {job.id: (job.token, job.finished_at) for job in fits(api, JobState.DONE)}
    first.kill()
    os.kill(child, signal.SIGCONT)  # it ends because its worker is gone
    let_leases_end(api)
    api.follow(evaluation_id)
    assert results(api, evaluation_id)["benchmarks"] == undisturbed
    done = {job.id: job for job in fits(api, JobState.DONE)}
    assert {job_id: (done[job_id].token, done[job_id].finished_at) for job_id in before} == before
    assert [job.id for job in done.values() if job.losses] == [held]
