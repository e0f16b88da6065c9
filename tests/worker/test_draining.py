"""A worker that an administrator drains: it finishes its job, claims no more, and ends with 0."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest
from sqlalchemy import select

from records.models import Job, JobKind, JobState, Worker
from tests.patience import until
from tests.served import Served
from tests.service.finished import ready_checkpoint
from tests.service.kit import noise, one_shot
from tests.workers import WorkerProcess

StartWorker = Callable[..., WorkerProcess]


def drain(api: Served, worker_id: UUID | None) -> None:
    answer = api.client.patch(f"/v1/admin/workers/{worker_id}", json={"draining": True})
    assert answer.status_code == 200, answer.text


def worker_of(api: Served) -> UUID | None:
    with api.database.session() as session:
        return session.scalars(select(Worker.id)).one_or_none()


def state_of(api: Served, kind: JobKind) -> JobState | None:
    with api.database.session() as session:
        return session.scalars(select(Job.state).where(Job.kind == kind)).one_or_none()


def test_a_worker_without_a_job_ends_at_once(api: Served, start_worker: StartWorker) -> None:
    worker = start_worker(VCPBENCH_QUEUES="cpu")
    found = until(lambda: worker_of(api), hopeless=worker.end)
    drain(api, found)
    assert worker.wait_for_end() == 0
    assert "an administrator let this worker end after its job" in worker.log.read_text()
    assert worker_of(api) is None


@pytest.mark.long
def test_a_worker_finishes_its_job_and_leaves_what_waits(api: Served, start_worker: StartWorker) -> None:
    with api.database.session() as session:
        checkpoint = str(ready_checkpoint(session).id)
    api.evaluate(checkpoint, "playground-64")
    worker = start_worker(VCPBENCH_QUEUES="cpu")
    found = until(lambda: worker_of(api), hopeless=worker.end)
    until(lambda: state_of(api, JobKind.INDEX) is JobState.RUNNING, hopeless=worker.end)
    drain(api, found)
    one_shot(api.client, noise(10), model="other")  # it waits for another worker
    assert state_of(api, JobKind.INDEX) is JobState.RUNNING
    assert worker.wait_for_end() == 0
    assert state_of(api, JobKind.INDEX) is JobState.DONE
    assert state_of(api, JobKind.INGEST) is JobState.QUEUED
    with api.database.session() as session:
        assert session.scalars(select(Job.losses)).all() == [0] * 3  # of the plan, too, which waits
