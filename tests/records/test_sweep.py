"""What a sweep deletes: orphans, and what was not used for too long; and what it never touches."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from bench.consistency import dangling, num_orphans
from records import damage, deletion, flow, orphans, storage, sweep
from records.db import NOW, Database
from records.models import (
    Checkpoint,
    Evaluation,
    EvaluationState,
    Job,
    JobKind,
    JobState,
    MapRow,
    MapState,
    Media,
    Shard,
)
from records.orphans import Freed
from records.repositories import locks, objects, retained, shards
from records.settings import Retention, Settings
from records.storage import Storage
from tests import stored
from tests.patience import until
from tests.service.kit import in_thread, num_waiting
from tests.stored import World
from vcp_core.scoring.maps import MAP_VERSION

EVER = Retention(features_days=0, features_gib=0, media_days=0, media_gib=0)
A_MONTH = Retention(features_days=30, features_gib=0, media_days=30, media_gib=0)
ORPHANS = (
    "checkpoints/" + 64 * "a",
    "weights/" + 64 * "a" + ".safetensors",
    f"manifests/{uuid4()}.json",
    "features/" + 32 * "a" + ".safetensors",
    "features/" + 32 * "a" + ".json",
    "media/" + 64 * "a",
    f"uploads/{uuid4()}",
    f"uploads/{uuid4()}/{uuid4()}",
)


@pytest.fixture
def store(settings: Settings) -> Storage:
    return Storage(settings.store_url)


@pytest.fixture
def world(database: Database, store: Storage) -> World:
    return stored.make(database, store)


def run(database: Database, store: Storage, limits: Retention = EVER, **more: Any) -> dict[str, int]:
    """Sweep, and say how many went of each kind of which some went."""
    found = sweep.run(database, store, limits, map_version=MAP_VERSION, **{"min_age_s": 0.0, **more})
    assert found is not None
    return {what: freed.count for what, freed in found.items() if freed.count}


def test_orphans_of_every_kind_go_and_what_a_row_names_stays(
    database: Database, store: Storage, world: World
) -> None:
    named = set(store.keys(""))
    for key in ORPHANS:
        store.put_bytes(key, b"x")
    wanted = {f"{folder} that no row names": 1 for folder in ("checkpoints", "weights", "manifests", "media")}
    wanted |= {"features that no row names": 2, "uploads that no row names": 2}
    assert run(database, store, dry_run=True) == wanted
    assert set(store.keys("")) == named | set(ORPHANS)
    assert run(database, store) == wanted
    assert set(store.keys("")) == named
    assert dangling(database, store) == []


def test_what_is_young_or_not_vcpbenchs_is_left_alone(
    database: Database, store: Storage, tmp_path: Path
) -> None:
    foreign = ("features/notes.txt", "checkpoints/readme", "elsewhere/x", "manifests/mine.json")
    for key in (*ORPHANS, *foreign):
        store.put_bytes(key, b"x")
    assert run(database, store, min_age_s=3600.0) == {}
    long_ago = time.time() - 3700
    for key in (ORPHANS[0], *foreign):
        os.utime(tmp_path / "objects" / key, (long_ago, long_ago))
    assert run(database, store, min_age_s=3600.0) == {"checkpoints that no row names": 1}
    assert set(store.keys("")) == {*ORPHANS[1:], *foreign}


def test_a_name_that_is_being_written_is_waited_for_and_kept(database: Database, store: Storage) -> None:
    key, kind = ORPHANS[1], next(kind for kind in objects.KINDS if kind.folder == "weights")
    store.put_bytes(key, b"left behind")
    with database.session() as naming:
        objects.about_to_name(naming)
        row = Checkpoint(origin="control", state="ingesting", weights_sha256=64 * "a")
        naming.add(row)
        naming.flush()
        deleted = in_thread(lambda: orphans.delete(database, store, kind, [key]))
        until(lambda: num_waiting(database))  # for the name
    assert deleted() == []
    assert store.exists(key)


def test_a_name_is_written_only_once_the_deletion_before_it_has_ended(
    database: Database, store: Storage
) -> None:
    def name() -> bool:
        with database.session() as session:
            objects.about_to_name(session)
        return True

    with database.session() as deleting:
        objects.about_to_delete(deleting)
        named = in_thread(name)
        until(lambda: num_waiting(database))
    assert named()


def test_one_sweep_runs_at_a_time_and_none_during_a_backup(database: Database, store: Storage) -> None:
    with database.session() as held:
        assert locks.try_take(held, sweep.LOCK)
        assert sweep.run(database, store, EVER, map_version=MAP_VERSION) is None
    assert sweep.run(database, store, EVER, map_version=MAP_VERSION) is not None


@contextmanager
def changed(database: Database, world: World, age_days: dict[UUID, float]) -> Iterator[Session]:
    """Let shards be unused for so many days, and change more."""
    with database.session() as session:
        for shard_id, days in age_days.items():
            past = NOW - timedelta(days=days)
            session.execute(update(Shard).where(Shard.id == shard_id).values(used_at=past))
        yield session


def kept(database: Database) -> set[UUID]:
    with database.session() as session:
        return set(session.scalars(select(Shard.id).where(Shard.swept_at.is_(None))))


def test_features_go_so_many_days_after_their_last_use(
    database: Database, store: Storage, world: World
) -> None:
    before = kept(database)
    with changed(database, world, {world.own: 31, world.shared: 29}):
        pass
    assert run(database, store, A_MONTH, dry_run=True) == {"features": 1}
    assert kept(database) == before
    assert run(database, store, A_MONTH) == {"features": 1}
    assert kept(database) == before - {world.own}
    assert (dangling(database, store), num_orphans(database, store)) == ([], 0)
    with database.session() as session:
        row = session.get_one(Shard, world.own)
        assert not store.exists(row.key)
        assert not store.exists(storage.facts_key(row.key))
        assert world.own not in shards.usable(session, row.space)  # a new plan forwards these clips anew


def test_features_that_were_used_longest_ago_make_room(
    database: Database, store: Storage, world: World
) -> None:
    with changed(database, world, {world.own: 3, world.shared: 2, world.of_control: 1}) as session:
        sizes = {one.id: one.size_bytes or 0 for one in session.scalars(select(Shard))}
    room = sum(sizes.values()) - sizes[world.own] - 1  # one byte more than the oldest must go
    limits = Retention(features_days=0, features_gib=room / (1 << 30), media_days=0)
    assert run(database, store, limits) == {"features": 2}
    assert kept(database) == set(sizes) - {world.own, world.shared}
    assert run(database, store, limits) == {}


@pytest.mark.parametrize("holder", ["evaluation", "map", "job"])
def test_features_that_somebody_needs_now_are_held(
    database: Database, store: Storage, world: World, holder: str
) -> None:
    with changed(database, world, dict.fromkeys((world.own, world.of_control), 99)) as session:
        if holder == "evaluation":
            session.get_one(Evaluation, world.evaluations[0]).state = EvaluationState.RUNNING
        elif holder == "map":
            session.execute(update(MapRow).where(MapRow.like_id.is_(None)).values(state=MapState.WAITING))
        else:
            session.execute(update(Job).where(Job.shard_id == world.own).values(state=JobState.RUNNING))
    assert run(database, store, A_MONTH) == {"features": 1}
    assert world.own in kept(database)


def test_a_shard_that_is_needed_between_the_look_and_the_sweep_is_held(
    database: Database, store: Storage, world: World
) -> None:
    with database.session() as session:
        session.get_one(Evaluation, world.evaluations[0]).state = EvaluationState.PLANNING
    with database.session() as session:
        flow.lock(session)
        assert retained.forget_features(session, [world.own]) == []


def test_a_map_has_swept_features_made_again_and_that_is_no_outage(
    database: Database, store: Storage, world: World
) -> None:
    with changed(database, world, {world.own: 99}):
        pass
    run(database, store, A_MONTH)
    with database.session() as session:
        flow.lock(session)
        first = session.get_one(Evaluation, world.evaluations[0])
        assert len(shards.unmade(session, first)) == 1
        damage.remake_features(session, first)
    with database.session() as session:
        job = session.scalars(select(Job).where(Job.shard_id == world.own)).one()
        assert (job.state, job.outages, job.kind) == (JobState.QUEUED, 0, JobKind.EXTRACT)
        assert session.get_one(Shard, world.own).swept_at is None
    assert run(database, store, A_MONTH) == {}  # the waiting job holds it


def test_previews_go_after_long_disuse_or_without_room(
    database: Database, store: Storage, world: World
) -> None:
    with database.session() as session:
        dataset = session.get_one(Evaluation, world.evaluations[0]).dataset
        session.add(stored.media(store, dataset, unused_days=31))
    assert run(database, store, A_MONTH) == {"previews": 1}
    tiny = Retention(features_days=0, media_days=0, media_gib=1e-9)
    assert run(database, store, tiny) == {"previews": 1}
    with database.session() as session:
        assert session.scalars(select(Media.id)).all() == []
    assert num_orphans(database, store) == 0


def test_maps_of_older_versions_go_and_those_of_this_one_stay(
    database: Database, store: Storage, world: World
) -> None:
    with database.session() as session:
        past = NOW - timedelta(days=31)
        like = MapRow.like_id.is_not(None)
        session.execute(update(MapRow).values(finished_at=past))
        session.execute(update(MapRow).where(like).values(version="older"))
    assert run(database, store, A_MONTH) == {"maps of older versions": 1}
    with database.session() as session:
        assert session.scalars(select(MapRow.version)).all() == [MAP_VERSION]


def test_controls_go_once_no_evaluation_needs_them(database: Database, store: Storage, world: World) -> None:
    with database.session() as session:
        past = NOW - timedelta(days=31)
        control = session.get_one(Evaluation, world.control)
        weights_id, control.finished_at = control.checkpoint_id, past
    assert run(database, store, A_MONTH) == {}
    for evaluation_id in world.evaluations:
        with database.session() as session:
            flow.lock(session)
            deletion.delete(session, session.get_one(Evaluation, evaluation_id), by="somebody")
    found = run(database, store, A_MONTH)
    assert found["controls that nothing needs"] == 1
    with database.session() as session:
        assert session.get(Evaluation, world.control) is None
        assert session.get(Checkpoint, weights_id) is None
        assert session.get(Shard, world.of_control) is None
    run(database, store)
    assert (dangling(database, store), num_orphans(database, store)) == ([], 0)


def test_sizes_that_older_versions_did_not_note_are_filled_in(
    database: Database, store: Storage, world: World
) -> None:
    with database.session() as session:
        right = dict(session.execute(select(Shard.id, Shard.size_bytes)).all())
        session.execute(update(Shard).values(size_bytes=None))
        session.execute(update(Checkpoint).values(weights_bytes=None))
    run(database, store)
    with database.session() as session:
        assert dict(session.execute(select(Shard.id, Shard.size_bytes)).all()) == right
        assert None not in session.scalars(select(Checkpoint.weights_bytes)).all()


def test_a_sweep_that_is_stopped_ends_at_its_next_step(
    database: Database, store: Storage, world: World
) -> None:
    for key in ORPHANS:
        store.put_bytes(key, b"x")
    found = orphans.sweep(database, store, min_age_s=0, stopped=lambda: True)
    assert set(found.values()) == {Freed()}
    assert set(ORPHANS) <= set(store.keys(""))
