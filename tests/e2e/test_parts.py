"""Workers that share the scoring of one evaluation, part by part."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from records.models import Job, JobKind, JobState, PartRow
from records.settings import Settings
from tests import patience
from tests.e2e.holding import hold, jobs_of
from tests.e2e.test_way import let_leases_end, register, results
from tests.served import Served
from tests.workers import WorkerProcess

StartWorker = Callable[..., WorkerProcess]
EACH_PART = {"VCPBENCH_FIT_VALUES": "0"}  # each part is a job, however small the dataset is
NUM_PARTS = 5  # of `light`: two heads, the linear probe, nearest neighbours, one ranking

pytestmark = pytest.mark.product


def fits(api: Served, *states: JobState) -> Sequence[Job]:
    """The jobs that fit, in these states."""
    return jobs_of(api, JobKind.FIT, *states)


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
    held, child = hold(api, first, JobKind.FIT, settings.lease_s)
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
    held, child = hold(api, first, JobKind.FIT, settings.lease_s)
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
