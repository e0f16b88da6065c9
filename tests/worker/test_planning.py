"""Planning in the child: what a plan may come to, cancels, and what an attack's protocols do now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from bench.finishing import Counter
from records import flow, storage
from records.db import Database
from records.models import (
    Checkpoint,
    Evaluation,
    EvaluationState,
    Job,
    JobKind,
    JobState,
    Shard,
    evaluation_shards,
)
from records.repositories import datasets, shards
from records.settings import Settings
from records.storage import Storage
from tests.patience import until
from tests.service.finished import ready_checkpoint, ready_dataset
from tests.workers import WorkerProcess, alive
from vcp_core.catalog.ceilings import PLAN_CLIPS
from vcp_core.catalog.errors import PlanTooLarge
from vcp_core.catalog.protocols import PROTOCOLS, Protocol
from vcp_core.datasets.manifest import Dataset, Video
from worker.background import tidy
from worker.job_loop import JobLoop
from worker.planning import limited_memory
from worker.tasks.plan import controls_of


def videos(number: int, num_frames: int = 150) -> tuple[Video, ...]:
    """Half of them for training, in two classes."""
    return tuple(
        Video(
            id=f"{one:06d}.mp4",
            label=f"c{one // 2 % 2}",
            split="test" if one % 2 else "train",
            group=None,
            sha256="0" * 64,
            num_frames=num_frames,
        )
        for one in range(number)
    )


def stored(numbers: dict[str, Any]) -> Protocol:
    """A protocol as an earlier version may have stored it: nobody asked whether it has bounds."""
    standard = PROTOCOLS["standard-v1"].model_dump()
    changed = {group: {**standard[group], **some} for group, some in numbers.items()}
    return Protocol.model_validate({**standard, "name": "p", **changed})


def ask(database: Database, settings: Settings, protocol: Protocol, listed: Sequence[Video]) -> UUID:
    """An evaluation of ready weights on a dataset of these videos, which waits for its plan."""
    with database.session() as session:
        flow.lock(session)
        dataset, weights = ready_dataset(session), ready_checkpoint(session, weights_sha256="w" * 64)
        manifest = Dataset(name="gestures", split_name="1", root=Path("/none"), videos=tuple(listed))
        Storage(settings.store_url).put_bytes(storage.manifest_key(dataset.id), manifest.to_json().encode())
        row = datasets.keep_protocol(session, protocol)
        assert row is not None
        return flow.find_or_create(session, weights, dataset, row.hash, team="default")[0].id


def count(database: Database, table: Any, *where: Any) -> int:
    with database.session() as session:
        return session.scalar(select(func.count()).select_from(table).where(*where)) or 0


def found(database: Database, evaluation_id: UUID) -> Evaluation:
    with database.session() as session:
        return session.get_one(Evaluation, evaluation_id)


def test_a_plan_has_all_clips_in_shards_that_each_have_a_job(
    settings: Settings, database: Database, job_loop: JobLoop
) -> None:
    asked = ask(database, settings, stored({"grid": {"num_clips": 100}}), videos(6))
    job_loop.run_until_idle()
    row = found(database, asked)
    assert (row.state, row.reason) == (EvaluationState.RUNNING, None)
    with database.session() as session:
        needed = select(evaluation_shards.c.shard_id).where(evaluation_shards.c.evaluation_id == asked)
        cut = session.scalars(select(Shard).where(Shard.id.in_(needed)).order_by(Shard.number)).all()
        controls = session.get_one(Evaluation, asked).controls
    assert row.num_clips == sum(one.num_clips for one in cut) > 6 * 100
    assert (
        len(cut) == 6
    )  # a video is never split, and each has more clips than a shard of the tests' settings
    assert count(database, Job, Job.shard_id.in_([one.id for one in cut])) == len(cut)
    assert sorted(one.checkpoint.seed for one in controls if not one.checkpoint.is_pixels) == [0, 1, 2]
    assert len(controls) == 4
    assert count(database, Job, Job.kind == JobKind.CALIBRATE) == 3


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ({"control": {"seeds": tuple(range(10_000))}}, "control.seeds has 10000 items"),
        ({"grid": {"num_clips": 10**9}}, "grid.num_clips = 1000000000 is above"),
    ],
)
def test_a_stored_protocol_of_an_attack_fails_its_evaluation_and_leaves_no_job(
    settings: Settings, database: Database, job_loop: JobLoop, numbers: dict[str, Any], says: str
) -> None:
    asked = ask(database, settings, stored(numbers), videos(6))
    job_loop.run_until_idle()
    row = found(database, asked)
    assert row.state is EvaluationState.FAILED
    assert says in str(row.reason)
    assert count(database, Job) == 1
    assert count(database, Job, Job.state == JobState.FAILED) == 1
    assert count(database, Checkpoint) == 1
    assert count(database, Shard) == 0


def test_a_plan_of_too_many_clips_fails_before_one_is_made(
    settings: Settings, database: Database, job_loop: JobLoop
) -> None:
    listed = videos(PLAN_CLIPS // 1000 + 1, num_frames=1100)
    protocol = stored({"grid": {"num_clips": 1000}, "cloze": {"remote_gap": 5000}})
    asked = ask(database, settings, protocol, listed)
    job_loop.run_until_idle()
    row = found(database, asked)
    assert row.state is EvaluationState.FAILED
    assert "needs about 50,001,000 clips for each network, and a plan has at most 50,000,000" in str(
        row.reason
    )
    assert "Lower grid.num_clips (1,000)" in str(row.reason)
    assert row.reason is not None
    assert row.reason.code == "PlanTooLarge"
    assert count(database, Job) == 1


@pytest.mark.long
def test_cancelling_stops_the_child_that_plans_and_leaves_nothing_behind(
    settings: Settings, database: Database, start_worker: Callable[..., WorkerProcess]
) -> None:
    asked = ask(database, settings, stored({"grid": {"num_clips": 1000}}), videos(40_000, num_frames=1100))
    worker = start_worker(VCPBENCH_QUEUES="cpu")
    worker.wait_for("kind=plan")
    child = worker.runner_child()
    # The job tells how many videos are done once the child cuts; the plan would take minutes.
    until(lambda: count(database, Job, Job.evaluation_id == asked, Job.total == 40_000), hopeless=worker.end)
    with database.session() as session:
        flow.lock(session)
        flow.cancel(session, session.get_one(Evaluation, asked))
    until(lambda: not alive(child), hopeless=worker.end)
    worker.wait_for("this worker lost the job")
    assert worker.end() is None
    assert found(database, asked).state is EvaluationState.CANCELLED
    assert count(database, Shard) == 0


def test_shards_of_a_plan_that_never_ended_are_deleted_and_those_of_others_stay(
    settings: Settings, database: Database, job_loop: JobLoop
) -> None:
    asked = ask(database, settings, stored({"control": {"pixels": False}}), videos(6))
    with database.session() as session:
        row = session.get_one(Evaluation, asked)
        facts = {"space": "s", "checkpoint_id": row.checkpoint_id, "dataset_id": row.dataset_id}
        left = [{**facts, "number": n, "clips": [], "num_clips": 1, "key": str(n)} for n in range(3)]
        shards.add(session, asked, left)
        assert shards.unplanned(session) == []
    job_loop.run_until_idle()  # the next attempt deletes what the first left
    planned = count(database, Shard)
    assert count(database, Shard, Shard.space == "s") == 0 < planned
    with database.session() as session:
        row = session.get_one(Evaluation, asked)
        other = Evaluation(
            checkpoint_id=ready_checkpoint(session, "other").id,
            dataset_id=row.dataset_id,
            protocol_hash=row.protocol_hash,
            team="default",
            is_control=False,
            state=EvaluationState.CANCELLED,
        )
        session.add(other)
        session.flush()
        shards.add(session, other.id, left)
        shards.link(session, other.id, session.scalars(select(Shard.id).where(Shard.space != "s")).all())
    tidy(database, Storage(settings.store_url), settings)
    assert count(database, Shard) == planned
    assert count(database, Shard, Shard.space == "s") == 0
    with database.session() as session:
        assert shards.unplanned(session) == []  # an evaluation whose shards all have jobs is not found again


def test_twenty_controls_take_as_many_statements_under_the_lock_as_two(
    settings: Settings, database: Database
) -> None:
    def statements(num_seeds: int) -> int:
        protocol = stored({"control": {"seeds": tuple(range(num_seeds)), "pixels": False}})
        protocol = protocol.model_copy(update={"name": f"p{num_seeds}"})
        with database.session() as session:
            flow.lock(session)
            dataset = datasets.named(session, "gestures") or ready_dataset(session)
            row = datasets.keep_protocol(session, protocol)
            assert row is not None
            weights = ready_checkpoint(session, step=num_seeds)
            asked = flow.find_or_create(session, weights, dataset, row.hash, team="default")[0].id
        counter = Counter(database)
        with counter.transaction("plan") as session:
            flow.lock(session)
            evaluation = session.get_one(Evaluation, asked)
            controls = controls_of(session, evaluation, protocol)
            flow.planned(session, evaluation, [], controls)
        counter.stop()
        assert len(controls) == num_seeds
        assert count(database, Job, Job.kind == JobKind.CALIBRATE) >= num_seeds
        return counter.costs["plan"].statements

    few, many = statements(2), statements(20)
    print(f"statements under the lock: {few} with 2 seeds, {many} with 20")
    assert many == few < 30


def test_a_plan_that_takes_too_much_memory_says_so_and_the_limit_ends_with_it() -> None:
    with pytest.raises(PlanTooLarge, match="takes more than 64 MiB of memory"), limited_memory(64 << 20):
        bytearray(1 << 30)
    assert len(bytearray(1 << 28)) == 1 << 28
