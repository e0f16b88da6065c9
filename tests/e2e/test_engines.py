"""Engines that go away in the middle; these tests have engines of their own to kill."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from records import migrate
from records.models import Job
from records.settings import Settings
from stack.engines import Engines, start_engines
from tests.e2e.test_way import begin, forwarded, register, results
from tests.served import Served, settings_in
from tests.workers import WorkerProcess

StartWorker = Callable[..., WorkerProcess]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Engines]:
    # Durable, for these tests kill PostgreSQL.
    with start_engines(tmp_path / "own") as started:
        migrate.upgrade(started.database_url)
        yield started
    shutil.rmtree(started.postgres.folder)


@pytest.fixture
def settings(own: Engines, tmp_path: Path) -> Settings:
    return settings_in(tmp_path, own.database_url, own.broker_url, lease_s=20.0)


@pytest.mark.parametrize("engine", ["valkey", "postgres"])
@pytest.mark.product
def test_an_engine_that_is_killed_and_comes_back_changes_nothing(
    engine: str,
    own: Engines,
    api: Served,
    start_worker: StartWorker,
    folder: Path,
    checkpoint: Path,
    undisturbed: Any,
) -> None:
    _, evaluation_id = begin(api, start_worker, folder, checkpoint)
    server = getattr(own, engine)
    server.kill()
    time.sleep(3)
    if engine == "postgres":
        answer = api.client.get(f"/v1/evaluations/{evaluation_id}")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    server.start()
    api.follow(evaluation_id)
    assert results(api, evaluation_id)["benchmarks"] == undisturbed
    forwarded(api)
    with api.database.session() as session:
        crashed = session.scalars(select(Job).where(Job.crashes > 0))
        assert [(job.kind, job.crashes, job.log_tail) for job in crashed] == []


@pytest.mark.product
def test_with_valkey_down_an_evaluation_is_accepted_and_runs_once(
    own: Engines, api: Served, start_worker: StartWorker, folder: Path, checkpoint: Path, undisturbed: Any
) -> None:
    own.valkey.kill()
    register(api, folder)
    asked = api.evaluate(api.upload(checkpoint)["id"], "small", "light")
    assert asked["state"] == "waiting"
    start_worker(VCPBENCH_IDLE_LOOK_S="3600")  # only wake-ups will tell it
    time.sleep(2)
    own.valkey.start()
    api.follow(asked["id"])
    assert results(api, asked["id"])["benchmarks"] == undisturbed
    forwarded(api)
