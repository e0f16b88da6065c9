"""A checkpoint's whole way: real HTTP, PostgreSQL, Valkey, Celery, child processes and videos."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
from sqlalchemy import func, select, update

import vcp_core
from records.models import DatasetRow, Job, JobKind, JobState, Shard
from records.settings import Settings
from tests import patience
from tests.e2e.conftest import LIGHT, WITH_PIXELS, in_the_library
from tests.e2e.holding import hold
from tests.served import Served
from tests.shared import SHARED, needs_shared
from tests.workers import WorkerProcess, alive
from vcp_core.catalog.protocols import protocol_from
from vcp_core.checkpoints.origin import METADATA
from vcp_core.evaluation.plan import EvaluationPlan

DECLARED = "small, hmdb51:2, kinetics400"
StartWorker = Callable[..., WorkerProcess]


def register(api: Served, folder: Path, name: str = "small", **options: Any) -> None:
    body = {"name": name, "location": str(folder), **options}
    assert api.client.post("/v1/datasets", json=body).status_code == 202
    assert api.client.post("/v1/protocols", json=LIGHT).status_code == 201


def run(api: Served, folder: Path, checkpoint: Path, protocol: str = "light") -> dict[str, Any]:
    """Register, upload, evaluate, wait; the evaluation's results."""
    register(api, folder)
    return evaluated(api, checkpoint, protocol)


def evaluated(api: Served, checkpoint: Path, protocol: str) -> dict[str, Any]:
    """Upload, evaluate, wait; the evaluation's results."""
    uploaded = api.upload(checkpoint, pretrained_on=DECLARED)
    asked = api.evaluate(uploaded["id"], "small", protocol)
    api.follow(asked["id"])
    return results(api, asked["id"])


def begin(
    api: Served, start_worker: StartWorker, folder: Path, checkpoint: Path
) -> tuple[WorkerProcess, str]:
    """An evaluation in the middle of its first shard, and the worker that is at it."""
    worker = start_worker()
    register(api, folder)
    asked = api.evaluate(api.upload(checkpoint)["id"], "small", "light")
    worker.wait_for("kind=extract")
    return worker, str(asked["id"])


def wait_until_running(api: Served, kind: JobKind) -> None:
    """Until a worker is at a job of that kind."""
    running = select(Job.id).where(Job.kind == kind, Job.state == JobState.RUNNING)

    def look() -> object:
        with api.database.session() as session:
            return session.scalars(running).first()

    patience.until(look, hopeless=WorkerProcess.casualty, every_s=0.02)


def let_leases_end(api: Served) -> None:
    """Move the clock: what a killed worker had is anybody's now."""
    with api.database.session() as session:
        past = func.clock_timestamp() - timedelta(seconds=1)
        session.execute(update(Job).where(Job.state == JobState.RUNNING).values(lease_until=past))


def results(api: Served, evaluation_id: str) -> dict[str, Any]:
    return dict(api.client.get(f"/v1/evaluations/{evaluation_id}/results").json())


def forwarded(api: Served) -> int:
    """Clips that were forwarded, over all shards; every shard is done once."""
    with api.database.session() as session:
        shards = session.scalars(select(Shard)).all()
        assert all(job.state is JobState.DONE for job in session.scalars(select(Job)))
    assert all(shard.counts["forwarded_clips"] == shard.num_clips for shard in shards if shard.counts)
    return sum(shard.num_clips for shard in shards)


def test_the_service_gives_the_librarys_numbers_to_the_last_digit(
    api: Served, start_worker: StartWorker, folder: Path, checkpoint: Path
) -> None:
    start_worker()
    assert api.client.post("/v1/protocols", json=WITH_PIXELS).status_code == 201
    register(api, folder)
    api.poll("/v1/datasets/small", "ready")
    with api.database.session() as session:  # as if these were the archives
        session.execute(update(DatasetRow).values(own_name="hmdb51"))
    found = evaluated(api, checkpoint, "with-pixels")
    undisturbed = in_the_library(checkpoint, folder, WITH_PIXELS)
    assert found["benchmarks"] == undisturbed
    assert found["benchmarks"][0]["scores"][0]["pixels"] is not None
    assert found["provenance"]["pretrained_on"] == DECLARED
    assert set(found["provenance"]["machine"]) == {"batch_clips", "network_threads", "blas_threads"}
    videos = found["provenance"]["dataset"]
    assert (videos["name"], videos["own_name"], videos["split"]) == ("small", "hmdb51", "listed")
    for said in ("pretrained on small", "split 2 of hmdb51, which may hold test videos of split listed"):
        assert any(said in warning for warning in found["warnings"])
    board = api.client.get("/v1/leaderboard", params={"dataset": "small", "protocol": "with-pixels"}).json()
    values = {score["metric"]: score["value"] for b in undisturbed for score in b["scores"]}
    (row,) = board["rows"]
    assert {metric: score["value"] for metric, score in row["scores"].items()}.items() <= values.items()
    assert sorted([control["seed"] for control in board["controls"]], key=str) == [0, None]


@pytest.mark.product
def test_a_declared_input_goes_the_whole_way(
    api: Served, start_worker: StartWorker, folder: Path, checkpoint: Path
) -> None:
    declared = "frames=8,stride=2,crop=48,mean=0.5,std=0.25"
    start_worker()
    register(api, folder)
    assert api.client.post("/v1/protocols", json=WITH_PIXELS).status_code == 201
    uploads = [api.upload(checkpoint), api.upload(checkpoint, input_spec=declared)]
    uploads.append(api.upload(checkpoint, input_spec="resize=48x48,crop=64"))
    asked = [api.evaluate(uploaded["id"], "small", "with-pixels") for uploaded in uploads]
    native, found = (results(api, api.follow(one["id"])["id"]) for one in asked[:2])
    assert found["benchmarks"] == in_the_library(checkpoint, folder, WITH_PIXELS, input_spec=declared)
    assert native["benchmarks"] == in_the_library(checkpoint, folder, WITH_PIXELS)
    assert found["provenance"]["input_spec"] == "frames=8,stride=2,resize=64x86,crop=48,mean=0.5,std=0.25"
    refused = api.follow(asked[2]["id"], until=("failed",))
    assert "a crop of 64 x 64 does not fit into frames of 48 x 48" in refused["reason"]


@pytest.mark.product
def test_another_protocol_forwards_only_the_clips_that_are_new(
    api: Served, start_worker: StartWorker, folder: Path, checkpoint: Path
) -> None:
    start_worker()
    run(api, folder, checkpoint)
    before = forwarded(api)
    more = {**LIGHT, "name": "two-clips", "grid": {"num_clips": 2}}
    assert api.client.post("/v1/protocols", json=more).status_code == 201
    asked = api.evaluate("tiny@latest", "small", "two-clips")
    api.follow(asked["id"])
    dataset, spec = vcp_core.load_dataset(folder), vcp_core.build("r3d_tiny", seed=0).spec
    old = EvaluationPlan(dataset=dataset, protocol=protocol_from(LIGHT), spec=spec)
    new = EvaluationPlan(dataset=dataset, protocol=protocol_from(more), spec=spec)
    known, wanted = ({clip for v in dataset.videos for clip in plan.clips(v)} for plan in (old, new))
    # For the checkpoint and for its control, whose weights are the same under both protocols.
    assert forwarded(api) - before == 2 * len(wanted - known)
    assert results(api, asked["id"])["benchmarks"] == in_the_library(checkpoint, folder, more)


@pytest.mark.product
def test_workers_killed_while_they_read_forward_and_score_change_no_score_and_leave_no_process(
    api: Served, start_worker: StartWorker, folder: Path, checkpoint: Path, undisturbed: Any
) -> None:
    register(api, folder)
    evaluation_id = str(api.evaluate(api.upload(checkpoint)["id"], "small", "light")["id"])
    kinds, children = (JobKind.INGEST, JobKind.EXTRACT, JobKind.SCORE), []
    for kind in kinds:
        worker = start_worker()
        wait_until_running(api, kind)
        if kind is JobKind.EXTRACT:
            worker.runner_child()  # a job runs a moment before its child does; one shall be left over
        children += worker.children()
        worker.kill()
        let_leases_end(api)
    assert children
    start_worker()
    api.follow(evaluation_id)
    assert results(api, evaluation_id)["benchmarks"] == undisturbed
    assert not [pid for pid in children if alive(pid)]
    forwarded(api)
    with api.database.session() as session:
        assert sorted(session.scalars(select(Job.kind).where(Job.losses == 1))) == sorted(kinds)


@pytest.mark.product
def test_a_killed_child_is_tried_again(
    api: Served, start_worker: StartWorker, folder: Path, checkpoint: Path, undisturbed: Any
) -> None:
    worker, evaluation_id = begin(api, start_worker, folder, checkpoint)
    worker.crash_attempt()
    api.follow(evaluation_id)
    assert results(api, evaluation_id)["benchmarks"] == undisturbed
    with api.database.session() as session:
        crashed = session.scalars(select(Job).where(Job.crashes > 0))
        found = [(job.crashes, job.state, job.log_tail) for job in crashed]
    assert found == [(1, JobState.DONE, "")]


@pytest.mark.product
def test_a_terminated_worker_gives_its_job_back_at_once(
    api: Served, start_worker: StartWorker, folder: Path, checkpoint: Path, undisturbed: Any
) -> None:
    first, evaluation_id = begin(api, start_worker, folder, checkpoint)
    children = first.children()
    assert first.terminate() == 0
    assert not [pid for pid in children if alive(pid)]
    with api.database.session() as session:
        found = session.scalars(select(Job).where(Job.state == JobState.RUNNING)).all()
        assert not found
        assert sum(session.scalars(select(Job.losses))) == sum(session.scalars(select(Job.crashes))) == 0
    start_worker()
    api.follow(evaluation_id)
    assert results(api, evaluation_id)["benchmarks"] == undisturbed


@pytest.mark.product
def test_a_cancelled_evaluation_stops_at_once_and_can_be_asked_for_again(
    api: Served,
    settings: Settings,
    start_worker: StartWorker,
    folder: Path,
    checkpoint: Path,
    undisturbed: Any,
) -> None:
    worker, evaluation_id = begin(api, start_worker, folder, checkpoint)
    hold(api, worker, JobKind.EXTRACT, settings.lease_s)
    cancelled = api.client.post(f"/v1/evaluations/{evaluation_id}/cancel").json()
    assert cancelled["state"] == "cancelled"
    worker.wait_for("lost the job")
    with api.database.session() as session:
        assert not session.scalars(
            select(Job).where(Job.state.in_((JobState.QUEUED, JobState.RUNNING)))
        ).all()
    again = api.evaluate("tiny@latest", "small", "light")
    assert again["id"] != evaluation_id
    api.follow(again["id"])
    assert results(api, again["id"])["benchmarks"] == undisturbed


def test_a_refused_checkpoint_says_why_and_fails_what_waits_for_it(
    api: Served, start_worker: StartWorker, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "not.pt").write_bytes(b"these are no weights")
    register(api, folder)
    uploaded = api.upload(tmp_path / "not.pt")
    asked = api.evaluate(uploaded["id"], "small")
    start_worker()
    found = api.follow(asked["id"], until=("failed",))
    shown = api.client.get(f"/v1/checkpoints/{uploaded['id']}").json()
    assert shown["state"] == "rejected"
    assert shown["reason"].startswith("plain text, beginning 'these are no weights'")
    assert str(tmp_path) not in shown["reason"]
    assert found["reason"] == f"the checkpoint was rejected: {shown['reason']}"


@pytest.mark.product
def test_a_checkpoint_of_our_own_training_brings_its_run_and_step(
    api: Served, start_worker: StartWorker, tmp_path: Path
) -> None:
    said = {"run": "night-3", "step": 900, "epoch": 6, "task": "pretrain", "backbone": "r3d_tiny"}
    trained = {"dataset": "playground", "dataset_split": "1", "dataset_fingerprint": "ab" * 32}
    weights = safetensors.torch.save(
        vcp_core.build("r3d_tiny", seed=1).state_dict(), metadata={METADATA: json.dumps({**said, **trained})}
    )
    (tmp_path / "step-900.safetensors").write_bytes(weights)
    start_worker()
    uploaded = api.upload(tmp_path / "step-900.safetensors")
    declared = api.upload(
        tmp_path / "step-900.safetensors", "other", run="mine", step="7", pretrained_on="none"
    )
    facts = ("run", "step", "pretrained_on")
    found = [api.poll(f"/v1/checkpoints/{one['id']}", "ready") for one in (uploaded, declared)]
    assert [one[fact] for one in found for fact in facts] == [
        *("night-3", 900, "playground:1"),
        *("mine", 7, "none"),
    ]


def test_a_dataset_that_cannot_be_used_says_why(
    api: Served, start_worker: StartWorker, tmp_path: Path
) -> None:
    register(api, tmp_path / "nothing", "none")
    start_worker()
    assert "nothing" in api.poll("/v1/datasets/none", "failed")["reason"]


@needs_shared
@pytest.mark.product
def test_the_gestures_run_as_a_registered_dataset(
    api: Served, start_worker: StartWorker, checkpoint: Path
) -> None:
    start_worker()
    register(api, SHARED / "gestures", "gestures", test_groups=["P3"])
    asked = api.evaluate(api.upload(checkpoint)["id"], "gestures", "light")
    found = api.follow(asked["id"])
    dataset = vcp_core.load_dataset(SHARED / "gestures", test_groups=["P3"])
    assert results(api, asked["id"])["benchmarks"] == in_the_library(checkpoint, dataset, LIGHT)
    assert "96 frames" in found["unavailable"]["cloze"]
