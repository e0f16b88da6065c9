"""Pauses and draining on a real PostgreSQL: what is claimed, and what is claimed at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest
from sqlalchemy import select

from records.db import Database
from records.models import Checkpoint, CheckpointState, Job, JobKind, JobState, Origin
from records.repositories import jobs, pauses, workers
from records.repositories.locks import LockNotHeld
from records.repositories.workers import WorkerReport
from tests.crew import Crew
from tests.patience import until
from tests.service.kit import in_thread, num_waiting

WHY = "new drivers"


@pytest.fixture
def crew(database: Database) -> Crew:
    return Crew(database)


@pytest.fixture
def enqueue(database: Database) -> Callable[..., UUID]:
    """Queues a job of a new checkpoint, and gives the job's id."""

    def put(kind: JobKind = JobKind.INGEST, team: str = "a") -> UUID:
        with database.session() as session:
            checkpoint = Checkpoint(origin=Origin.UPLOAD, state=CheckpointState.INGESTING)
            session.add(checkpoint)
            session.flush()
            jobs.enqueue(session, kind, team=team, checkpoint_id=checkpoint.id)
            return session.scalars(select(Job.id).where(Job.checkpoint_id == checkpoint.id)).one()

    return put


def claim(database: Database, worker_id: UUID) -> UUID | None:
    with database.session() as session:
        found = jobs.claim(session, ("cpu", "gpu"), worker_id=worker_id, lease_s=60)
        return found.job_id if found else None


def pause(database: Database, what: str) -> None:
    with database.session() as session:
        pauses.lock(session)
        pauses.pause(session, what, why=WHY, by="ops")


def resume(database: Database, what: str) -> None:
    with database.session() as session:
        assert pauses.resume(session, what) is not None


def state(database: Database, job_id: UUID) -> JobState:
    with database.session() as session:
        return session.get_one(Job, job_id).state


@contextmanager
def claiming(database: Database, worker_id: UUID) -> Iterator[UUID]:
    """A claim whose transaction is committed when the block ends."""
    with database.session() as session:
        found = jobs.claim(session, ("cpu", "gpu"), worker_id=worker_id, lease_s=60)
        assert found is not None
        yield found.job_id


@pytest.mark.parametrize("what", ["gpu", "calibrate"])
def test_nothing_is_claimed_of_a_paused_queue_or_kind_and_all_else_is(
    database: Database, crew: Crew, enqueue: Callable[..., UUID], what: str
) -> None:
    held, other = enqueue(JobKind.CALIBRATE), enqueue()
    behind = enqueue(JobKind.CALIBRATE, "b")
    worker = crew.worker("cpu", "gpu")
    pause(database, what)
    assert [claim(database, worker) for _ in range(2)] == [other, None]
    with database.session() as session:
        assert jobs.num_claimable(session) == {}
        assert [one.what for one in pauses.every(session)] == [what]
        found = pauses.holding(session, session.get_one(Job, held))
        assert found is not None
        assert (found.why, found.by) == (WHY, "ops")
        assert pauses.holding(session, session.get_one(Job, other)) is None
    resume(database, what)
    assert {claim(database, worker) for _ in range(2)} == {held, behind}


def test_a_paused_kind_holds_no_other_kind_of_its_team_back(
    database: Database, crew: Crew, enqueue: Callable[..., UUID]
) -> None:
    dataset_first = enqueue(JobKind.INGEST)
    with database.session() as session:
        other = Checkpoint(origin=Origin.UPLOAD, state=CheckpointState.INGESTING)
        session.add(other)
        session.flush()
        jobs.enqueue(session, JobKind.PLAN, team="a", checkpoint_id=other.id)
        plan = session.scalars(select(Job.id).where(Job.checkpoint_id == other.id)).one()
    pause(database, "ingest")
    worker = crew.worker("cpu")
    assert [claim(database, worker) for _ in range(2)] == [plan, None]
    assert state(database, dataset_first) is JobState.QUEUED


def test_a_pause_waits_for_the_claim_that_is_under_way(
    database: Database, crew: Crew, enqueue: Callable[..., UUID]
) -> None:
    first, second = enqueue(), enqueue()
    worker = crew.worker("cpu")
    with claiming(database, worker) as job_id:
        paused = in_thread(lambda: pause(database, "cpu"))
        until(lambda: num_waiting(database) == 1)
    paused()
    assert job_id == first
    assert claim(database, worker) is None
    assert state(database, second) is JobState.QUEUED


def test_while_workers_claim_as_fast_as_they_can_a_pause_stops_them_at_once(
    database: Database, crew: Crew, enqueue: Callable[..., UUID]
) -> None:
    wanted = {enqueue(team=f"team {number % 3}") for number in range(60)}
    crew_ids = [crew.worker("cpu") for _ in range(4)]
    got: list[UUID] = []
    ended = threading.Event()

    def work(worker_id: UUID) -> None:
        while not ended.is_set():
            if found := claim(database, worker_id):
                got.append(found)

    threads = [threading.Thread(target=work, args=(worker_id,)) for worker_id in crew_ids]
    for thread in threads:
        thread.start()
    try:
        until(lambda: len(got) >= 5, every_s=0.001)
        pause(database, "cpu")
        with database.session() as session:
            running = select(Job.id).where(Job.state == JobState.RUNNING)
            at_the_pause = set(session.scalars(running))
        for _ in range(20):
            claim(database, crew_ids[0])
        with database.session() as session:
            assert set(session.scalars(running)) == at_the_pause
        resume(database, "cpu")
        until(lambda: len(got) == len(wanted), every_s=0.01)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert sorted(got) == sorted(wanted)


def test_a_draining_worker_claims_nothing_and_is_drained_once_its_job_has_ended(
    database: Database, crew: Crew, enqueue: Callable[..., UUID]
) -> None:
    first, second = enqueue(), enqueue()
    one, other = crew.worker("cpu"), crew.worker("cpu")
    with claiming(database, one) as job_id:
        drained = in_thread(lambda: _drain(database, one))
        until(lambda: num_waiting(database) == 1)  # the claim came first, so the worker does this job
    drained()
    assert job_id == first
    with database.session() as session:
        assert not workers.is_drained(session, one)
    assert claim(database, one) is None
    assert claim(database, other) == second
    with database.session() as session:
        session.get_one(Job, first).state = JobState.DONE
    with database.session() as session:
        assert workers.is_drained(session, one)
        workers.report(session, WorkerReport(id=one, name="host:1", queues=["cpu"], device="cpu"))
        assert workers.is_drained(session, one)  # what a worker reports does not undo it
    _drain(database, one, by=None)
    third = enqueue()
    assert claim(database, one) == third


def _drain(database: Database, worker_id: UUID, by: str | None = "ops") -> None:
    with database.session() as session:
        pauses.lock(session)
        assert workers.drain(session, worker_id, by) is not None


def test_without_the_lock_nothing_is_paused_or_drained(database: Database, crew: Crew) -> None:
    worker = crew.worker("cpu")
    with database.session() as session:
        with pytest.raises(LockNotHeld):
            pauses.pause(session, "gpu", why=WHY, by="ops")
        with pytest.raises(LockNotHeld):
            workers.drain(session, worker, "ops")


def test_a_worker_that_has_ended_cannot_be_drained(database: Database, crew: Crew) -> None:
    worker = crew.worker("cpu")
    with database.session() as session:
        workers.remove(session, worker)
    with database.session() as session:
        pauses.lock(session)
        assert workers.drain(session, worker, "ops") is None
