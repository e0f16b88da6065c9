"""What Prometheus is told of jobs: counted once each, from what workers write into rows."""

from __future__ import annotations

import re
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from records.models import Job, JobKind, JobState
from records.repositories import jobs
from records.repositories.jobs import Claim
from tests.served import Served, serve
from tests.service.finished import ready_checkpoint
from vcp_core.catalog.errors import VcpbenchError

LEASE_S = 60.0


@pytest.fixture
def checkpoint(api: Served) -> UUID:
    with api.database.session() as session:
        return ready_checkpoint(session).id


def queue(api: Served, checkpoint: UUID) -> None:
    with api.database.session() as session:
        jobs.enqueue(session, JobKind.CALIBRATE, team=None, checkpoint_id=checkpoint)


def claim(api: Served) -> Claim:
    with api.database.session() as session:
        found = jobs.claim(session, ["gpu"], worker_id=uuid4(), lease_s=LEASE_S)
    assert found is not None
    return found


def told(api: Served, name: str) -> dict[str, float]:
    """Values of a metric for the kind `calibrate`, by the other label."""
    text = api.client.get("/v1/metrics").text
    found = re.findall(rf'^{name}{{kind="calibrate"(?:,\w+="(\w+)")?}} (\S+)$', text, re.M)
    return {label: float(value) for label, value in found if float(value)}


def ended(api: Served) -> dict[str, float]:
    return told(api, "vcpbench_job_seconds_count")


def failed(api: Served) -> dict[str, float]:
    return told(api, "vcpbench_failed_attempts_total")


def test_jobs_are_counted_by_kind_while_they_wait_and_run(api: Served, checkpoint: UUID) -> None:
    assert told(api, "vcpbench_jobs_by_kind") == {}
    queue(api, checkpoint)
    assert told(api, "vcpbench_jobs_by_kind") == {"waiting": 1}
    assert told(api, "vcpbench_oldest_job_by_kind_seconds")[""] > 0
    claim(api)
    assert told(api, "vcpbench_jobs_by_kind") == {"running": 1}
    assert told(api, "vcpbench_oldest_job_by_kind_seconds") == {}


def test_a_job_is_counted_once_when_it_ends(api: Served, checkpoint: UUID) -> None:
    queue(api, checkpoint)
    assert ended(api) == {}
    one = claim(api)
    assert ended(api) == {}
    with api.database.session() as session:
        assert jobs.finish(session, one)
    assert [ended(api), ended(api)] == [{"done": 1}, {"done": 1}]
    assert told(api, "vcpbench_job_seconds_sum")["done"] < LEASE_S


def test_a_job_that_begins_and_ends_between_two_looks_is_counted(api: Served, checkpoint: UUID) -> None:
    queue(api, checkpoint)
    assert ended(api) == {}
    with api.database.session() as session:
        assert jobs.fail(session, claim(api), VcpbenchError("bad"))
    assert [ended(api), ended(api)] == [{"failed": 1}, {"failed": 1}]


def test_what_ended_before_the_first_look_is_not_counted(api: Served, checkpoint: UUID) -> None:
    queue(api, checkpoint)
    with api.database.session() as session:
        assert jobs.finish(session, claim(api))
    assert [ended(api), ended(api)] == [{}, {}]


def test_each_failed_attempt_is_counted_once_with_its_reason(api: Served, checkpoint: UUID) -> None:
    queue(api, checkpoint)
    assert failed(api) == {}
    with api.database.session() as session:
        jobs.crash(session, claim(api), VcpbenchError("bad"))
    assert [failed(api), failed(api)] == [{"crash": 1}, {"crash": 1}]
    at_once(api)
    with api.database.session() as session:
        jobs.crash(session, claim(api), VcpbenchError("away"), outage=True)
    assert failed(api) == {"crash": 1, "outage": 1}
    at_once(api)
    one = claim(api)
    with api.database.session() as session:
        session.execute(update(Job).values(lease_until=Job.created_at))
        assert jobs.sweep(session) == (1, [])
    assert failed(api) == {"crash": 1, "outage": 1, "lost": 1}
    one = claim(api)
    with api.database.session() as session:
        assert jobs.finish(session, one)
    assert failed(api) == {"crash": 1, "outage": 1, "lost": 1}
    assert [ended(api), failed(api)] == [{"done": 1}, {"crash": 1, "outage": 1, "lost": 1}]


def test_attempts_that_failed_before_the_first_look_are_not_counted(api: Served, checkpoint: UUID) -> None:
    queue(api, checkpoint)
    with api.database.session() as session:
        jobs.crash(session, claim(api), VcpbenchError("bad"))
    at_once(api)
    assert failed(api) == {}
    with api.database.session() as session:
        assert jobs.finish(session, claim(api))
    assert [failed(api), ended(api)] == [{}, {"done": 1}]


def test_every_process_counts_for_itself(api: Served, checkpoint: UUID) -> None:
    queue(api, checkpoint)
    with serve(api.app.state.settings) as other:
        assert [ended(api), ended(other)] == [{}, {}]
        with api.database.session() as session:
            assert jobs.finish(session, claim(api))
        assert [ended(api), ended(other)] == [{"done": 1}, {"done": 1}]


def at_once(api: Served) -> None:
    """Let the job that waits for its next attempt be claimed now."""
    with api.database.session() as session:
        session.execute(update(Job).where(Job.state == JobState.QUEUED).values(not_before=None))
