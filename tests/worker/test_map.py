"""A real worker draws maps: what it keeps is what the library gives."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select, update

from records import sweep
from records.db import NOW
from records.models import Evaluation, Job, JobKind, JobState, MapRow, MapState, Shard
from records.repositories import maps
from records.settings import Retention
from tests import mapped
from tests.patience import until
from tests.served import Served
from tests.workers import WorkerProcess
from vcp_core.catalog.errors import VcpbenchError
from vcp_core.features.bank import FeatureBank
from vcp_core.scoring.maps import MAP_VERSION, VideoMap, map_of
from worker.job_loop import JobLoop

StartWorker = Callable[..., WorkerProcess]
DATASET = mapped.videos()


@pytest.fixture
def pair(api: Served) -> tuple[str, str]:
    """Two evaluations of the same videos."""
    with api.database.session() as session:
        row = mapped.registered(session, api.app.state.storage, DATASET)
        ids = [
            mapped.evaluated(session, api.app.state.storage, DATASET, row, model, seed=seed).id
            for seed, model in enumerate(("first", "second"))
        ]
    return str(ids[0]), str(ids[1])


def drawn(tmp_path: Path, seed: int, like: VideoMap | None = None) -> VideoMap:
    """What the library gives."""
    path = tmp_path / f"{seed}.safetensors"
    mapped.features(DATASET, seed).save(path)
    said = {"recognition": mapped.recognised(DATASET, seed)}
    return map_of(FeatureBank([path]), DATASET, mapped.QUICK, mapped.TINY, said, like=like)


def test_a_worker_draws_a_map_and_one_that_begins_at_it(
    api: Served, start_worker: StartWorker, pair: tuple[str, str], tmp_path: Path
) -> None:
    address = f"/v1/evaluations/{pair[1]}/map?against={pair[0]}"
    asked = api.client.get(address)
    assert (asked.status_code, asked.json()["map"]) == (202, None)
    start_worker(VCPBENCH_QUEUES="cpu")
    found = api.poll(address, "done")
    first = VideoMap.model_validate(api.client.get(f"/v1/evaluations/{pair[0]}/map").json()["map"])
    assert first == drawn(tmp_path, 0)
    assert VideoMap.model_validate(found["map"]) == drawn(tmp_path, 1, like=first)
    assert (found["evaluation"], found["against"]) == (pair[1], pair[0])
    with api.database.session() as session:
        assert {job.priority for job in session.scalars(select(Job).where(Job.kind == JobKind.MAP))} == {-1}


def test_a_map_of_damaged_features_waits_until_its_shard_is_whole_again(
    api: Served, job_loop: JobLoop, pair: tuple[str, str]
) -> None:
    store = api.app.state.storage
    with api.database.session() as session:
        shard = session.scalars(select(Shard).order_by(Shard.key)).first()
        assert shard is not None
        key, shard_id = shard.key, shard.id
    content = store.get_bytes(key)
    store.put_bytes(key, content[:-4] + b"\1\2\3\4")
    address = f"/v1/evaluations/{pair[0]}/map"
    assert api.client.get(address).status_code == 202
    job_loop.run_until_idle()
    with api.database.session() as session:
        job = session.scalars(select(Job).where(Job.shard_id == shard_id)).one()
        assert (job.state, job.outages) == (JobState.QUEUED, 1)
        drawing = session.scalars(select(Job).where(Job.kind == JobKind.MAP)).one()
        assert (drawing.state, drawing.outages) == (JobState.QUEUED, 1)
        assert {row.state.value for row in session.scalars(select(Evaluation)).unique()} == {"done"}
        assert "are made again" in str(drawing.error)
        drawing.not_before = None
        job.state = JobState.DONE  # a worker with a GPU forwards the clips again
    store.put_bytes(key, content)
    job_loop.run_until_idle()
    assert api.client.get(address).json()["state"] == "done"


def test_a_map_waits_for_features_that_were_deleted_after_long_disuse(
    api: Served, job_loop: JobLoop, pair: tuple[str, str]
) -> None:
    store = api.app.state.storage
    with api.database.session() as session:
        session.execute(update(Shard).values(used_at=NOW - timedelta(days=31)))
        kept = {one.id: (one.key, store.get_bytes(one.key)) for one in session.scalars(select(Shard))}
    limits = Retention(features_days=30)
    assert sweep.run(api.database, store, limits, map_version=MAP_VERSION) is not None
    address = f"/v1/evaluations/{pair[0]}/map"
    assert api.client.get(address).status_code == 202
    job_loop.run_until_idle()
    with api.database.session() as session:
        waiting = {job.shard_id for job in session.scalars(select(Job).where(Job.state == JobState.QUEUED))}
        drawing = session.scalars(select(Job).where(Job.kind == JobKind.MAP)).one()
        assert (drawing.state, drawing.outages, drawing.crashes) == (JobState.QUEUED, 0, 0)
        again = session.scalars(select(Shard.id).where(Shard.swept_at.is_(None))).all()
        assert set(again) == waiting - {None}
        drawing.not_before = None
        for shard_id in again:  # a worker with a GPU forwards the clips again
            store.put_bytes(*kept[shard_id])
        session.execute(update(Job).where(Job.shard_id.in_(again)).values(state=JobState.DONE))
    job_loop.run_until_idle()
    assert api.client.get(address).json()["state"] == "done"


def test_a_worker_of_another_version_says_so(api: Served, job_loop: JobLoop, pair: tuple[str, str]) -> None:
    address = f"/v1/evaluations/{pair[0]}/map"
    api.client.get(address)
    with api.database.session() as session:
        session.execute(update(MapRow).values(version="of tomorrow"))
    job_loop.run_until_idle()

    def reason() -> VcpbenchError | None:
        with api.database.session() as session:
            return session.scalars(select(MapRow.reason)).one()

    assert "draws maps by version of tomorrow of the rules" in str(until(reason))


def test_a_failed_map_is_tried_again_after_a_while(
    api: Served, job_loop: JobLoop, pair: tuple[str, str]
) -> None:
    address = f"/v1/evaluations/{pair[0]}/map"
    api.client.get(address)
    with api.database.session() as session:
        row = session.scalars(select(MapRow)).one()
        row.state, row.reason = MapState.FAILED, VcpbenchError("of a test")
        row.finished_at = row.created_at
        session.execute(update(Job).where(Job.kind == JobKind.MAP).values(state=JobState.FAILED))
    assert api.client.get(address).json()["reason"] == "of a test"
    with api.database.session() as session:
        row = session.scalars(select(MapRow)).one()
        row.finished_at = row.created_at - 1.1 * maps.FAILED_FOR
    assert api.client.get(address).status_code == 202
    job_loop.run_until_idle()
    found = api.client.get(address).json()
    assert found["state"] == "done"
    positions = VideoMap.model_validate(found["map"]).positions_N2
    assert np.unique(positions, axis=0).shape == (60, 2)
    with api.database.session() as session:
        assert session.scalars(select(MapRow.version)).all() == [MAP_VERSION]
