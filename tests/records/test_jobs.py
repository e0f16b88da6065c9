"""Jobs on a real PostgreSQL: turns, leases, tokens, attempts."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event, select, text, update
from sqlalchemy.orm import Session

from records.db import NOW, Database
from records.models import Checkpoint, CheckpointState, Job, JobKind, JobState, Origin
from records.repositories import jobs, turns
from records.repositories.jobs import Claim
from vcp_core.catalog.errors import VcpbenchError

Queue = Callable[..., UUID]
LATE = VcpbenchError("late")


@pytest.fixture
def queue(database: Database) -> Queue:
    """Queues an ingest job of a new checkpoint, and gives the job's id."""

    def put(team: str | None = "a", kind: JobKind = JobKind.INGEST, priority: int = 0) -> UUID:
        with database.session() as session:
            checkpoint = Checkpoint(origin=Origin.UPLOAD, state=CheckpointState.INGESTING)
            session.add(checkpoint)
            session.flush()
            jobs.enqueue(session, kind, team=team, checkpoint_id=checkpoint.id, priority=priority)
            return session.scalars(select(Job.id).where(Job.checkpoint_id == checkpoint.id)).one()

    return put


def claim(database: Database, queues: tuple[str, ...] = ("cpu", "gpu"), lease_s: float = 60) -> Claim | None:
    with database.session() as session:
        return jobs.claim(session, queues, worker_id=uuid4(), lease_s=lease_s)


def job(database: Database, job_id: UUID) -> Job:
    with database.session() as session:
        return session.get_one(Job, job_id)


def let_lease_end(database: Database, job_id: UUID) -> None:
    with database.session() as session:
        past = NOW - timedelta(seconds=1)
        session.execute(update(Job).where(Job.id == job_id).values(lease_until=past))


def sweep(database: Database) -> tuple[int, int]:
    with database.session() as session:
        requeued, failed = jobs.sweep(session)
        return requeued, len(failed)


def test_a_subject_gets_one_job_of_a_kind_however_often_it_is_asked_for(
    database: Database, queue: Queue
) -> None:
    first = job(database, queue())
    with database.session() as session:
        jobs.enqueue(session, JobKind.INGEST, team="a", checkpoint_id=first.checkpoint_id)
    assert claim(database) is not None
    assert claim(database) is None


def test_teams_take_turns_and_each_has_its_oldest_first(database: Database, queue: Queue) -> None:
    large = [queue("large") for _ in range(3)]
    small = [queue("small") for _ in range(2)]
    order = [found.job_id for _ in range(5) if (found := claim(database))]
    assert order == [large[0], small[0], large[1], small[1], large[2]]


def test_what_can_wait_is_taken_when_nothing_else_waits(database: Database, queue: Queue) -> None:
    later = [queue("a", priority=jobs.LOW), queue("b", priority=jobs.LOW)]
    soon = [queue("c"), queue("c")]
    with database.session() as session:
        before = [
            turns.num_before(session, session.get_one(Job, one), ("cpu", "gpu")) for one in (*soon, *later)
        ]
    assert before == [0, 1, 2, 3]
    order = [found.job_id for _ in range(4) if (found := claim(database))]
    assert order == [*soon, *later]


def test_a_worker_gets_only_what_its_queues_hold(database: Database, queue: Queue) -> None:
    queue(kind=JobKind.CALIBRATE)
    assert claim(database, ("cpu",)) is None
    assert claim(database, ("gpu",)) is not None
    assert claim(database, queues=()) is None


def test_many_workers_at_once_never_get_the_same_job(database: Database, queue: Queue) -> None:
    wanted = {queue() for _ in range(20)}
    got: list[UUID] = []

    def work() -> None:
        while found := claim(database):
            got.append(found.job_id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # A claim may find every row locked by others and go home; what is left is claimed by the next look.
    work()
    assert sorted(got) == sorted(wanted)


def test_only_the_newest_token_may_write(database: Database, queue: Queue) -> None:
    job_id = queue()
    old = claim(database)
    assert old is not None
    let_lease_end(database, job_id)
    assert sweep(database) == (1, 0)
    new = claim(database)
    assert new is not None
    with database.session() as session:
        assert not jobs.renew(session, old, lease_s=60)
        assert not jobs.finish(session, old)
        assert not jobs.fail(session, old, LATE)
        assert jobs.crash(session, old, LATE) is None
        assert not jobs.release(session, old)
    assert job(database, job_id).state is JobState.RUNNING
    with database.session() as session:
        assert jobs.finish(session, new)
        assert not jobs.finish(session, new)
    assert job(database, job_id).state is JobState.DONE


def test_a_renewed_lease_is_not_swept(database: Database, queue: Queue) -> None:
    job_id = queue()
    mine = claim(database, lease_s=60)
    assert mine is not None
    let_lease_end(database, job_id)
    with database.session() as session:
        assert jobs.renew(session, mine, lease_s=60, done=3, total=9)
    assert sweep(database) == (0, 0)
    assert (job(database, job_id).done, job(database, job_id).total) == (3, 9)


@pytest.mark.parametrize(
    ("done", "total", "kept"), [(80, 400, 320), (330, 400, 330), (1, 3, 3), (90, None, 90)]
)
def test_an_attempt_that_counts_other_units_takes_no_share_back(
    database: Database, queue: Queue, done: int, total: int | None, kept: int
) -> None:
    job_id = queue()
    mine = claim(database)
    assert mine is not None
    for told in ((80, 100), (done, total), (0, total)):
        with database.session() as session:
            assert jobs.renew(session, mine, lease_s=60, done=told[0], total=told[1])
    found = job(database, job_id)
    assert (found.done, found.total) == (kept, 100 if total is None else total)


def test_three_crashes_fail_a_job_with_the_reason_and_the_logs_tail(database: Database, queue: Queue) -> None:
    job_id = queue()
    states = []
    for attempt in range(3):
        with database.session() as session:
            session.execute(update(Job).where(Job.id == job_id).values(not_before=None))
        mine = claim(database)
        assert mine is not None
        with database.session() as session:
            states.append(jobs.crash(session, mine, VcpbenchError(f"crash {attempt}"), log_tail="last words"))
    assert states == [JobState.QUEUED, JobState.QUEUED, JobState.FAILED]
    assert (str(job(database, job_id).error), job(database, job_id).log_tail) == ("crash 2", "last words")


def test_outages_of_the_store_use_up_no_attempt_that_a_crash_has(database: Database, queue: Queue) -> None:
    job_id = queue()
    states = []
    for outage in (*9 * [True], False, False, True):
        with database.session() as session:
            session.execute(update(Job).where(Job.id == job_id).values(not_before=None))
        mine = claim(database)
        assert mine is not None
        with database.session() as session:
            states.append(jobs.crash(session, mine, VcpbenchError("the store is away"), outage=outage))
    assert states == [*11 * [JobState.QUEUED], JobState.FAILED]
    assert (job(database, job_id).outages, job(database, job_id).crashes) == (10, 2)


def test_after_a_crash_a_job_waits_before_it_is_tried_again(database: Database, queue: Queue) -> None:
    queue()
    mine = claim(database)
    assert mine is not None
    with database.session() as session:
        jobs.crash(session, mine, VcpbenchError("out of memory"))
    assert claim(database) is None


def test_ten_lost_workers_fail_a_job(database: Database, queue: Queue) -> None:
    job_id = queue()
    ends = []
    for _ in range(jobs.MAX_LOSSES):
        assert claim(database) is not None
        let_lease_end(database, job_id)
        ends.append(sweep(database))
    assert ends == [(1, 0)] * 9 + [(0, 1)]
    assert job(database, job_id).state is JobState.FAILED


def test_a_shutdown_counts_toward_nothing(database: Database, queue: Queue) -> None:
    job_id = queue()
    for _ in range(12):
        mine = claim(database)
        assert mine is not None
        with database.session() as session:
            assert jobs.release(session, mine)
    found = job(database, job_id)
    assert (found.state, found.crashes, found.losses) == (JobState.QUEUED, 0, 0)


def test_a_cancelled_job_is_noticed_at_the_next_renewal(database: Database, queue: Queue) -> None:
    job_id = queue()
    mine = claim(database)
    assert mine is not None
    with database.session() as session:
        jobs.cancel(session, [job_id])
    with database.session() as session:
        assert not jobs.renew(session, mine, lease_s=60)


def test_workers_are_woken_after_the_commit_and_not_without_one(database: Database, queue: Queue) -> None:
    woken: list[dict[str, int]] = []
    waking = Database(
        database.engine.url.render_as_string(hide_password=False),
        on_new_jobs=lambda new: woken.append(dict(new)),
    )

    def put(session: Session) -> None:
        checkpoint = Checkpoint(origin=Origin.UPLOAD, state=CheckpointState.INGESTING)
        session.add(checkpoint)
        session.flush()
        jobs.enqueue(session, JobKind.INGEST, team="a", checkpoint_id=checkpoint.id)

    def give_up() -> None:
        with waking.session() as session:
            put(session)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        give_up()
    assert woken == []
    with waking.session() as session:
        put(session)
        put(session)
        assert woken == []
    assert woken == [{"cpu": 2}]
    waking.dispose()


@pytest.mark.parametrize("end", [jobs.fail, jobs.crash])
def test_whatever_bytes_a_process_printed_its_failure_is_recorded(
    database: Database, queue: Queue, end: Callable[..., object]
) -> None:
    job_id = queue()
    found = claim(database)
    assert found is not None
    with database.session() as session:
        assert end(session, found, VcpbenchError("no \0 such \udcff file"), log_tail="tail \0 of \ud800 it")
    assert (str(job(database, job_id).error), job(database, job_id).log_tail) == (
        r"no \x00 such \xff file",
        "tail  of ? it",
    )


FINISHED = """
WITH dataset AS (
    INSERT INTO dataset (id, name, source, state)
    SELECT gen_random_uuid(), 'd' || i, '{}', 'ready' FROM generate_series(1, 100000) AS i RETURNING id
), numbered AS (SELECT id, row_number() OVER () AS i FROM dataset)
INSERT INTO job (id, kind, queue, team, dataset_id, state, crashes, outages, losses, done, started_at)
SELECT gen_random_uuid(), 'index', CASE WHEN i % 3 = 0 THEN 'gpu' ELSE 'cpu' END, 't' || i % 9,
    id, CASE WHEN i <= 60 THEN 'queued' ELSE 'done' END, 0, 0, 0, 0,
    CASE WHEN i > 60 THEN clock_timestamp() - i * interval '1 second' END
FROM numbered
"""


def test_a_claim_reads_no_more_because_a_hundred_thousand_jobs_have_ended(database: Database) -> None:
    plans: list[str] = []

    @event.listens_for(database.engine, "before_cursor_execute")
    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "FOR UPDATE" in statement or "RECURSIVE" in statement:
            with connection.connection.driver_connection.cursor() as other:
                other.execute(f"EXPLAIN (ANALYZE, BUFFERS) {statement}", parameters)
                plans.append("\n".join(row[0] for row in other.fetchall()))

    with database.session() as session:
        session.execute(text(FINISHED))
        session.execute(text("ANALYZE job"))
    assert claim(database) is not None
    print("\n\n".join(plans))
    assert len(plans) == 2
    read = 0
    for plan in plans:
        whole = re.search(
            r"Buffers: shared (?:hit=(\d+))?(?: read=(\d+))?", plan
        )  # the first is of all nodes
        assert whole is not None
        read += sum(int(pages or 0) for pages in whole.groups())
    assert read < 300, plans  # 104 when this was written


def test_a_reader_without_a_team_takes_turns_like_a_team(database: Database, queue: Queue) -> None:
    large = [queue("large") for _ in range(2)]
    nobodys = [queue(None) for _ in range(2)]
    order = [found.job_id for _ in range(4) if (found := claim(database))]
    assert order == [large[0], nobodys[0], large[1], nobodys[1]]


def test_a_paused_job_holds_no_other_of_its_team_back(database: Database, queue: Queue) -> None:
    paused, other = queue("a"), queue("a")
    first = claim(database)
    assert first is not None
    assert first.job_id == paused
    with database.session() as session:
        jobs.crash(session, first, VcpbenchError("out of memory"))
    second = claim(database)
    assert second is not None
    assert second.job_id == other
    assert claim(database) is None


def test_a_claim_takes_the_next_job_while_another_worker_claims_the_first(
    database: Database, queue: Queue
) -> None:
    first, second, later = queue("a"), queue("a"), queue("b", priority=jobs.LOW)
    with database.session() as busy:
        assert jobs.claim(busy, ("cpu",), worker_id=uuid4(), lease_s=60) is not None
        order = [found.job_id for _ in range(2) if (found := claim(database))]
        assert order == [second, later]
        assert claim(database) is None
    assert job(database, first).state is JobState.RUNNING
