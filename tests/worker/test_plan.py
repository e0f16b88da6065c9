"""What a plan shares with others, as rows come while it is being made."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from records import flow
from records.db import Database
from records.models import (
    Checkpoint,
    CheckpointState,
    DatasetRow,
    DatasetState,
    Evaluation,
    JobKind,
    Origin,
    Shard,
)
from records.repositories import datasets, jobs
from tests.service.finished import done, ready_checkpoint, ready_dataset
from vcp_core.catalog import versions
from vcp_core.catalog.benchmarks import BENCHMARKS
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.datasets.manifest import Dataset, Video
from vcp_core.features.shards import Clip
from worker.tasks.plan import Cut, _controls

QUICK = PROTOCOLS["quick-v1"]
VIDEOS = tuple(
    Video(id=name, label="x", split="test", group=None, sha256=name * 64, num_frames=40) for name in "ab"
)


def test_a_shard_that_came_while_a_plan_was_made_is_shared_and_not_forwarded_twice(
    database: Database,
) -> None:
    with database.session() as session:
        dataset = DatasetRow(name="d", source={}, state=DatasetState.READY)
        checkpoint = Checkpoint(origin=Origin.UPLOAD, state=CheckpointState.READY)
        session.add_all([dataset, checkpoint])
        session.flush()
        dataset_id, checkpoint_id = dataset.id, checkpoint.id
    cut = Cut(
        Evaluation(checkpoint_id=checkpoint_id, dataset_id=dataset_id),
        Dataset(name="d", split_name="1", root=Path(), videos=VIDEOS),
        wanted={(video.id, video.sha256): {Clip(video.id, 0), Clip(video.id, 16)} for video in VIDEOS},
        space="s",
        max_clips=2,
    )
    with database.session() as session:
        cut.refresh(session)
        assert cut.shared == []
        assert [columns["num_clips"] for columns in cut.new] == [2, 2]
    with database.session() as session:
        clips = [["a", "a" * 64, [[0, "original", ""]]], ["other", "o" * 64, [[0, "original", ""]]]]
        theirs = Shard(space="s", number=0, clips=clips, num_clips=2, key=str(uuid4()))
        theirs.checkpoint_id, theirs.dataset_id = checkpoint_id, dataset_id
        session.add(theirs)
        session.flush()
        jobs.enqueue(session, JobKind.EXTRACT, team="a", shard_id=theirs.id)
    with database.session() as session:
        cut.refresh(session)
        assert cut.shared == [theirs.id]
        assert [columns["clips"] for columns in cut.new] == [
            [["a", "a" * 64, [[16, "original", ""]]]],
            [["b", "b" * 64, [[0, "original", ""], [16, "original", ""]]]],
        ]


def test_a_benchmark_that_is_added_later_is_measured_for_controls_too(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def controls() -> list[Evaluation]:
        with database.session() as session:
            dataset = datasets.named(session, "gestures") or ready_dataset(session)
            weights = ready_checkpoint(session, "a", step=len(versions.engine()))
            flow.lock(session)
            return list(_controls(session, done(session, weights, dataset, {}), QUICK))

    before = controls()
    assert [one.checkpoint.is_pixels for one in before] == [False, True]
    assert [one.id for one in controls()] == [one.id for one in before]  # one for all
    monkeypatch.setattr(versions, "BENCHMARKS", [*BENCHMARKS, "speed"])
    after = controls()
    assert not {one.id for one in after} & {one.id for one in before}
    assert [one.checkpoint_id for one in after] == [one.checkpoint_id for one in before]  # the same weights
    assert {one.engine for one in after} == {versions.engine()}
