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
from records.settings import Settings
from tests.service.finished import done, ready_checkpoint, ready_dataset
from vcp_core.catalog import versions
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.benchmarks import BENCHMARKS
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.datasets.manifest import Dataset, Video
from vcp_core.evaluation.plan import EvaluationPlan
from vcp_core.features.shards import Clip
from worker.tasks.plan import Cut, _controls, fit_jobs

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


def plan_of(num_videos: int) -> EvaluationPlan:
    """`r3d` under `standard-v1` on videos of 150 frames in 8 classes; seven tenths are for training."""
    videos = tuple(
        Video(
            id=f"{number:05d}",
            label=f"c{number % 8}",
            split="train" if number % 10 < 7 else "test",
            group=None,
            sha256="0" * 64,
            num_frames=150,
        )
        for number in range(num_videos)
    )
    dataset = Dataset(name="d", split_name="1", root=Path(), videos=videos)
    return EvaluationPlan(dataset=dataset, protocol=PROTOCOLS["standard-v1"], spec=BACKBONES["r3d"])


def test_small_datasets_are_fitted_by_the_score_job_and_large_ones_by_many() -> None:
    usual = Settings.model_fields["fit_values"].default
    assert fit_jobs(plan_of(344), usual) == []  # the largest playground
    large = plan_of(13_320)  # UCF101
    found = fit_jobs(large, usual)
    assert len(found) > 5
    assert sum(fit["units"] for fit in found) == large.num_predict_units
    assert sorted(part for fit in found for part in fit["parts"]) == sorted(map(str, large.parts))
    assert fit_jobs(plan_of(13_320), usual) == found


def test_each_part_can_be_a_job_and_the_longest_comes_first() -> None:
    plan = plan_of(100)
    found = [fit["parts"] for fit in fit_jobs(plan, 0)]
    assert sorted(found) == sorted([str(part)] for part in plan.parts)
    assert found[0] == ["cloze.relational"]
