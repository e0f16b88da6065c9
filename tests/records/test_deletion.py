"""What a deletion takes, what stays because others use it, and what refers to it afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from bench.consistency import dangling, num_orphans
from records import deletion, flow, orphans
from records.db import Base, Database
from records.deletion import Account
from records.models import (
    AliasMove,
    Checkpoint,
    Comparison,
    DatasetRow,
    Deleted,
    Evaluation,
    EvaluationState,
    Job,
    JobKind,
    JobState,
    MapRow,
    Media,
    Model,
    Note,
    Shard,
    Tombstone,
)
from records.repositories import datasets
from records.repositories.deletions import Line
from records.repositories.locks import LockNotHeld
from records.settings import Settings
from records.storage import Storage
from tests import stored
from tests.crew import Crew
from tests.service.finished import ready_checkpoint, ready_dataset
from tests.stored import World
from vcp_core.catalog.protocols import PROTOCOLS


@pytest.fixture
def storage(settings: Settings) -> Storage:
    return Storage(settings.store_url)


@pytest.fixture
def world(database: Database, storage: Storage) -> World:
    return stored.make(database, storage)


def delete(database: Database, kind: type[Any], subject_id: UUID) -> Account:
    """Delete something."""
    with database.session() as session:
        flow.lock(session)
        return deletion.delete(session, session.get_one(kind, subject_id), by="somebody")


def counted(lines: list[Line]) -> dict[str, int]:
    return {line.kind: line.count for line in lines}


def num_rows(database: Database) -> dict[str, int]:
    """Number of rows of each table."""
    with database.session() as session:
        return {
            table.name: session.scalar(select(func.count()).select_from(table)) or 0
            for table in Base.metadata.sorted_tables
        }


def fewer(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    return {name: number - after[name] for name, number in before.items() if number > after[name]}


def test_an_evaluation_takes_what_hangs_on_it_and_leaves_what_others_need(
    database: Database, storage: Storage, world: World
) -> None:
    first, second, third = world.evaluations
    before = num_rows(database)
    with database.session() as session:
        said = deletion.account(session, session.get_one(Evaluation, first))
    assert num_rows(database) == before
    found = delete(database, Evaluation, first)
    assert found == said
    assert counted(found.goes) == {
        "evaluations": 1,
        "features": 1,
        "maps": 2,
        "comparisons": 2,
        "notes": 1,
        "share links": 2,
    }
    assert counted(found.stays) == {"features": 1, "controls": 1}
    gone = fewer(before, num_rows(database))
    assert gone == {
        "evaluation": 1,
        "evaluation_control": 1,
        "evaluation_shard": 2,
        "shard": 1,
        "job": 2,
        "map": 2,
        "comparison": 2,
        "comparison_member": 3,
        "note": 1,
        "score": 1,
    }
    with database.session() as session:
        assert session.get(Shard, world.own) is None
        assert session.get_one(Shard, world.shared).checkpoint_id == world.ours
        assert {session.get_one(Evaluation, one).state for one in (second, third)} == {EvaluationState.DONE}
        assert {row.id: row.kind for row in session.scalars(select(Tombstone))} == {
            first: Deleted.EVALUATION,
            world.many: Deleted.COMPARISON,
        }
    swept = orphans.sweep(database, storage, min_age_s=0)
    assert {folder: freed.count for folder, freed in swept.items() if freed.count} == {"features": 2}
    assert (dangling(database, storage), num_orphans(database, storage)) == ([], 0)


def test_a_checkpoint_goes_with_its_evaluations_and_a_shared_file_and_shared_features_stay(
    database: Database, storage: Storage, world: World
) -> None:
    found = delete(database, Checkpoint, world.ours)
    goes, stays = counted(found.goes), counted(found.stays)
    assert (goes["checkpoints"], goes["evaluations"], goes["aliases"]) == (1, 1, 1)
    assert "uploaded files" not in goes
    assert stays == {"uploaded files": 1, "weights": 1, "features": 1, "controls": 1}
    assert [line.names for line in found.goes if line.kind == "aliases"] == [("@champion",)]
    with database.session() as session:
        kept = session.get_one(Shard, world.shared)
        assert kept.checkpoint_id == world.twin  # its worker reads the weights of a checkpoint that is there
        (move,) = session.scalars(select(AliasMove)).all()
        assert (move.checkpoint_id, move.deleted_at is not None) == (None, True)
        assert all(link.deleted_at for link in stored.shares_of(session, "vision"))
    orphans.sweep(database, storage, min_age_s=0)
    assert (dangling(database, storage), num_orphans(database, storage)) == ([], 0)
    found = delete(database, Checkpoint, world.twin)  # the last that has the file
    assert counted(found.goes)["uploaded files"] == counted(found.goes)["weights"] == 1
    orphans.sweep(database, storage, min_age_s=0)
    assert (dangling(database, storage), num_orphans(database, storage)) == ([], 0)
    assert len(list(storage.keys("checkpoints"))) == 1


def test_a_model_goes_with_its_name(database: Database, storage: Storage, world: World) -> None:
    with database.session() as session:
        model_id = session.get_one(Checkpoint, world.other).model_id
    assert model_id is not None
    found = delete(database, Model, model_id)
    assert counted(found.goes) == {
        "models": 1,
        "checkpoints": 1,
        "evaluations": 1,
        "uploaded files": 1,
        "weights": 1,
        "features": 1,
        "comparisons": 1,
        "share links": 1,
    }
    orphans.sweep(database, storage, min_age_s=0)
    assert (dangling(database, storage), num_orphans(database, storage)) == ([], 0)
    with database.session() as session:
        assert session.get(Model, model_id) is None
        ready_checkpoint(session, "other", team="vision")  # the name is free


def test_a_dataset_goes_with_its_evaluations_and_their_controls(
    database: Database, storage: Storage, world: World
) -> None:
    found = delete(database, DatasetRow, world.dataset)
    goes = counted(found.goes)
    assert (goes["datasets"], goes["evaluations"], goes["controls"], goes["previews"]) == (1, 3, 1, 1)
    assert goes["features"] == 4
    assert found.stays == []
    with database.session() as session:
        for table in (Evaluation, Shard, Comparison, MapRow, Note, Media, DatasetRow):
            assert session.scalar(select(func.count()).select_from(table)) == 0, table
        assert session.get(Checkpoint, world.ours) is not None
    orphans.sweep(database, storage, min_age_s=0)
    assert (dangling(database, storage), num_orphans(database, storage)) == ([], 0)


def test_a_dataset_hands_controls_and_previews_over_to_one_of_equal_videos(
    database: Database, storage: Storage, world: World
) -> None:
    with database.session() as session:
        old = session.get_one(DatasetRow, world.dataset)
        moved = ready_dataset(session, "moved", fingerprint=old.fingerprint)
        later = session.get_one(Evaluation, world.evaluations[2])
        later.dataset_id = moved.id
        session.flush()
        moved_id = moved.id
    found = delete(database, DatasetRow, world.dataset)
    assert counted(found.goes)["evaluations"] == 2
    assert counted(found.stays) == {"previews": 1, "controls": 1}
    with database.session() as session:
        assert session.get_one(Evaluation, world.control).dataset_id == moved_id
        assert session.scalars(select(Media.dataset_id)).all() == [moved_id]
        assert session.get_one(Shard, world.of_control).dataset_id == moved_id
    orphans.sweep(database, storage, min_age_s=0)
    assert num_orphans(database, storage) == 0


def test_running_work_is_cancelled_and_the_worker_writes_nothing(database: Database) -> None:
    crew = Crew(database, shards=3, controls=[1])
    with database.session() as session:
        dataset, checkpoint = ready_dataset(session), ready_checkpoint(session)
        checkpoint_id, dataset_id = checkpoint.id, dataset.id
    with database.session() as session:
        row = datasets.keep_protocol(session, PROTOCOLS["quick-v1"])
        assert row is not None
        flow.lock(session)
        asked, _ = flow.find_or_create(
            session,
            session.get_one(Checkpoint, checkpoint_id),
            session.get_one(DatasetRow, dataset_id),
            row.hash,
            team="default",
        )
        asked_id = asked.id
    crew.do(JobKind.PLAN)
    claim = crew.claim()
    delete(database, Evaluation, asked_id)
    with database.session() as session:
        states = set(session.scalars(select(Job.state)))
        assert states <= {JobState.CANCELLED, JobState.DONE}
        assert session.scalar(select(func.count()).where(Evaluation.id == asked_id)) == 0
        controls = session.scalars(select(Evaluation.state).where(Evaluation.is_control)).all()
        assert set(controls) == {EvaluationState.CANCELLED}
    with pytest.raises(AssertionError):  # the worker has lost the job
        crew.finish(claim)


def test_nothing_is_deleted_without_the_flows_lock(database: Database, world: World) -> None:
    with database.session() as session, pytest.raises(LockNotHeld):
        deletion.delete(session, session.get_one(Evaluation, world.evaluations[0]), by="somebody")
