"""What a task does while the database is away or has no room, and while its own job ends."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from records import storage as records_storage
from records.db import Database
from records.models import Checkpoint, CheckpointState, DatasetRow, JobKind, Origin
from records.repositories import jobs
from records.repositories.jobs import Claim
from records.settings import Settings
from records.storage import DamagedObject, Storage
from tests.catalog.test_graphs import FACTS
from tests.patience import DEADLINE_S, until
from tests.workers import runner_child
from vcp_core.catalog.errors import StorageError
from worker import work
from worker.leases import Heartbeat
from worker.runner import Runner
from worker.work import ObjectCache, Work


def of(settings: Settings, database: Database, folder: Path) -> Work:
    claim = Claim(job_id=uuid4(), token=uuid4(), kind=JobKind.PLAN, subject_id=uuid4())
    storage = Storage(settings.store_url)
    return Work(
        claim=claim,
        storage=storage,
        folder=folder,
        settings=settings,
        _database=database,
        _runner=Runner(folder),
        _object_cache=ObjectCache(storage, folder),
        _heartbeat=Heartbeat(database, claim, lease_s=60, on_lost=lambda: None),
    )


@pytest.mark.parametrize(("state", "attempts"), [("53100", 3), ("53300", 3), ("53200", 1), ("53400", 1)])
def test_a_database_without_room_is_waited_for_but_not_for_ever(
    settings: Settings,
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    state: str,
    attempts: int,
) -> None:
    now, seen = [0.0], []
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=lambda seconds: now.append(now.pop() + seconds))
    monkeypatch.setattr(work, "time", clock)
    monkeypatch.setattr(work, "AWAY_S", 1.5 * work.RETRY_EVERY_S)

    def lacks(session: Session) -> None:
        seen.append(session)
        session.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{state}'; END $$"))

    with pytest.raises(StorageError if attempts > 1 else DBAPIError):  # the first is an outage, not a crash
        of(settings, database, tmp_path).read(lacks)
    assert len(seen) == attempts


def test_a_renewal_that_waits_while_its_job_ends_leaves_the_child_to_the_next_job(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    runner = Runner(tmp_path)

    def describe() -> int:
        runner.call(
            {"do": "describe", "device": "cpu"},
            stall_s=DEADLINE_S,
            on_progress=lambda done, total: None,
        )
        return runner_child(os.getpid())

    with database.session() as session:
        checkpoint = Checkpoint(origin=Origin.UPLOAD, state=CheckpointState.INGESTING)
        session.add(checkpoint)
        session.flush()
        jobs.enqueue(session, JobKind.INGEST, team="a", checkpoint_id=checkpoint.id)
    with database.session() as session:
        claim = jobs.claim(session, ["cpu"], worker_id=uuid4(), lease_s=60)
    assert claim is not None
    child = describe()
    with Heartbeat(database, claim, lease_s=0.2, on_lost=runner.kill) as beat:  # it renews every 50 ms
        with database.session() as session:
            assert jobs.finish(session, claim)
            until(lambda: renewals_that_wait(database))
        until(lambda: beat.lost)
    assert describe() == child
    runner.close()


def renewals_that_wait(database: Database) -> int:
    with database.session() as session:
        waiting = "wait_event_type = 'Lock' AND query LIKE 'UPDATE job %' AND datname = current_database()"
        return int(session.scalar(text(f"SELECT count(*) FROM pg_stat_activity WHERE {waiting}")) or 0)


def test_a_cached_object_is_read_for_its_hash_again_only_after_it_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, content = Storage(f"file://{tmp_path}/store"), b"weights"
    storage.put_bytes("weights/a", content)
    cache, sha256, read = ObjectCache(storage, tmp_path / "copies"), hashlib.sha256(content).hexdigest(), []

    def counted(path: Path) -> str:
        read.append(path)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr(records_storage, "sha256_of", counted)
    paths = [cache.fetch("weights/a", sha256=sha256) for _ in range(3)]
    assert len(read) == 1
    paths[0].write_bytes(b"Weights")
    with pytest.raises(DamagedObject):
        cache.fetch("weights/a", sha256=sha256)


@pytest.mark.parametrize(
    ("videos", "graph", "walled"),
    [("playground", None, False), ("playground", FACTS.as_dict(), True), ("/videos", None, True)],
    ids=["neither", "a program", "videos"],
)
def test_walls_stand_around_foreign_videos_and_foreign_programs(
    settings: Settings, videos: str, graph: dict[str, Any] | None, walled: bool
) -> None:
    dataset = DatasetRow(name="x", source={"name_or_path": videos})
    network = Checkpoint(id=uuid4(), graph=graph)
    found = work._foreign(dataset, network, settings)
    assert (found is not None) == walled
    if found is not None:
        assert found.dataset == {"name_or_path": videos}
        assert found.program == (str(network.id) if graph else None)
