"""Objects that are damaged in the store between two jobs: made again where possible, and told otherwise."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select, update

from records import storage
from records.models import (
    Checkpoint,
    CheckpointState,
    DatasetRow,
    Evaluation,
    EvaluationState,
    Job,
    JobKind,
    JobState,
    Shard,
)
from records.repositories import remakes
from records.settings import Settings
from tests import patience
from tests.e2e.test_way import register, results
from tests.served import Served
from tests.workers import WorkerProcess
from vcp_core.catalog.files import sha256_of

StartWorker = Callable[..., WorkerProcess]
CPU, GPU = {"VCPBENCH_QUEUES": "cpu"}, {"VCPBENCH_QUEUES": "gpu"}

pytestmark = pytest.mark.long


def flip(path: Path) -> None:
    """Change one bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    """Lose the last byte."""
    path.write_bytes(path.read_bytes()[:-1])


def swap(path: Path) -> None:
    """Get the whole content of another object of the same kind."""
    contents = (one.read_bytes() for one in sorted(path.parent.glob("*.safetensors")))
    path.write_bytes(next(content for content in contents if content != path.read_bytes()))


KINDS = (flip, cut, Path.unlink, swap)


@pytest.fixture
def store(settings: Settings) -> Path:
    """The folder of the store."""
    return Path(urlsplit(settings.store_url).path)


def rows(api: Served, query: Any) -> Sequence[Any]:
    with api.database.session() as session:
        return session.scalars(query).unique().all()


def wait_for(look: Callable[[], object]) -> None:
    patience.until(look, hopeless=WorkerProcess.casualty)


def ask(api: Served, folder: Path, checkpoint: Path) -> tuple[str, str]:
    """Register, upload and ask; ids of checkpoint and evaluation."""
    register(api, folder)
    uploaded = api.upload(checkpoint)["id"]
    return uploaded, str(api.evaluate(uploaded, "small", "light")["id"])


def until_planned(api: Served, start_worker: StartWorker, **options: str) -> WorkerProcess:
    """Run a worker for the queue "cpu" until it has planned the evaluation; the worker."""
    worker = start_worker(**CPU, **options)
    planned = select(Evaluation).where(Evaluation.state == EvaluationState.RUNNING)
    wait_for(lambda: rows(api, planned))
    return worker


def extracted(api: Served, start_worker: StartWorker, **options: str) -> WorkerProcess:
    """Run workers until all features of evaluation and control are there; the worker for "gpu" goes on."""
    cpu = until_planned(api, start_worker, **options)
    gpu = start_worker(**GPU)
    both = select(Job).where(Job.kind == JobKind.PLAN, Job.state == JobState.DONE)
    wait_for(lambda: len(rows(api, both)) == 2)
    cpu.terminate()
    unfinished = select(Job).where(Job.kind == JobKind.EXTRACT, Job.state != JobState.DONE)
    wait_for(lambda: not rows(api, unfinished))
    return gpu


@pytest.mark.parametrize("fit_values", ["0", "1000000000"], ids=["fit jobs", "score job"])
def test_features_that_are_damaged_before_they_are_scored_are_extracted_again(
    api: Served,
    start_worker: StartWorker,
    folder: Path,
    checkpoint: Path,
    undisturbed: Any,
    store: Path,
    fit_values: str,
) -> None:
    _, evaluation_id = ask(api, folder, checkpoint)
    options = {"VCPBENCH_FIT_VALUES": fit_values}
    extracted(api, start_worker, **options)
    shards = rows(api, select(Shard))
    assert len(shards) > len(KINDS)
    damaged = shards[:-1]
    for shard, damage in zip(damaged, itertools.cycle(KINDS), strict=False):
        damage(store / shard.key)
    start_worker(**CPU, **options)
    api.follow(evaluation_id)
    assert results(api, evaluation_id)["benchmarks"] == undisturbed
    assert {shard.sha256 for shard in rows(api, select(Shard))} == {
        sha256_of(store / shard.key) for shard in shards
    }
    again = rows(api, select(Job.shard_id).where(Job.outages > 0))
    assert set(again) == {shard.id for shard in damaged}
    assert all(job.state is JobState.DONE and not job.crashes for job in rows(api, select(Job)))


def test_features_without_a_hash_are_read_and_made_again_if_they_are_cut_off(
    api: Served, start_worker: StartWorker, folder: Path, checkpoint: Path, undisturbed: Any, store: Path
) -> None:
    _, evaluation_id = ask(api, folder, checkpoint)
    extracted(api, start_worker)
    shards = rows(api, select(Shard))
    with api.database.session() as session:  # as before there were hashes
        session.execute(update(Shard).values(sha256=None))
    cut(store / shards[0].key)
    start_worker(**CPU)
    api.follow(evaluation_id)
    assert results(api, evaluation_id)["benchmarks"] == undisturbed
    hashes = {shard.id: shard.sha256 for shard in rows(api, select(Shard))}
    assert hashes.pop(shards[0].id) == sha256_of(store / shards[0].key)
    assert set(hashes.values()) <= {None}


@pytest.mark.parametrize("damage", [flip, Path.unlink], ids=["flipped", "gone"])
def test_weights_that_are_damaged_after_ingest_are_made_again_from_the_upload(
    api: Served,
    start_worker: StartWorker,
    folder: Path,
    checkpoint: Path,
    undisturbed: Any,
    store: Path,
    damage: Callable[[Path], None],
) -> None:
    uploaded, evaluation_id = ask(api, folder, checkpoint)
    until_planned(api, start_worker)
    (row,) = rows(api, select(Checkpoint).where(Checkpoint.id == uploaded))
    path = store / storage.weights_key(row.weights_sha256)
    damage(path)
    start_worker(**GPU)
    api.follow(evaluation_id)
    assert results(api, evaluation_id)["benchmarks"] == undisturbed
    assert sha256_of(path) == row.weights_sha256


def test_weights_whose_upload_is_damaged_too_fail_with_that_reason(
    api: Served, start_worker: StartWorker, folder: Path, checkpoint: Path, store: Path
) -> None:
    uploaded, evaluation_id = ask(api, folder, checkpoint)
    until_planned(api, start_worker)
    (row,) = rows(api, select(Checkpoint).where(Checkpoint.id == uploaded))
    flip(store / storage.weights_key(row.weights_sha256))
    flip(store / storage.checkpoint_key(row.sha256))
    start_worker(**GPU)
    reason = api.follow(evaluation_id, until=("failed",))["reason"]
    assert "its weights were damaged in the store, and cannot be made again" in reason
    assert "Upload it again" in reason


def test_an_upload_that_is_damaged_before_ingest_is_rejected_and_can_be_sent_again(
    api: Served, start_worker: StartWorker, checkpoint: Path, store: Path
) -> None:
    sent = api.upload(checkpoint)
    flip(store / storage.checkpoint_key(sent["sha256"]))
    start_worker()
    rejected = api.poll(f"/v1/checkpoints/{sent['id']}", "rejected")
    assert "the uploaded file was damaged in the store" in rejected["reason"]
    again = api.upload(checkpoint)
    assert again["id"] != sent["id"]
    api.poll(f"/v1/checkpoints/{again['id']}", "ready")


def test_a_damaged_upload_is_not_downloaded_as_if_it_were_whole(
    api: Served, start_worker: StartWorker, checkpoint: Path, store: Path
) -> None:
    sent = api.upload(checkpoint)
    start_worker()
    api.poll(f"/v1/checkpoints/{sent['id']}", "ready")
    url = f"/v1/checkpoints/{sent['id']}/content"
    assert api.client.get(url).content == checkpoint.read_bytes()
    flip(store / storage.checkpoint_key(sent["sha256"]))
    with pytest.raises(Exception, match=r"peer closed connection|incomplete"):
        api.client.get(url)


def test_a_damaged_manifest_is_made_again_from_the_videos(
    api: Served, start_worker: StartWorker, folder: Path, checkpoint: Path, undisturbed: Any, store: Path
) -> None:
    _, evaluation_id = ask(api, folder, checkpoint)
    until_planned(api, start_worker)
    (dataset,) = rows(api, select(DatasetRow))
    path = store / storage.manifest_key(dataset.id)
    flip(path)
    start_worker(**GPU)
    api.follow(evaluation_id)
    assert results(api, evaluation_id)["benchmarks"] == undisturbed
    assert sha256_of(path) == dataset.manifest_sha256


def test_a_damaged_manifest_whose_videos_are_gone_fails_with_that_reason(
    api: Served, start_worker: StartWorker, folder: Path, checkpoint: Path, store: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "videos"))
    _, evaluation_id = ask(api, copy, checkpoint)
    until_planned(api, start_worker)
    (dataset,) = rows(api, select(DatasetRow))
    flip(store / storage.manifest_key(dataset.id))
    shutil.rmtree(copy)
    start_worker(**GPU)
    reason = api.follow(evaluation_id, until=("failed",))["reason"]
    assert "the manifest of the dataset small was damaged in the store, and cannot be made again" in reason


def test_random_weights_are_calibrated_again(
    api: Served, start_worker: StartWorker, folder: Path, checkpoint: Path, store: Path
) -> None:
    _, evaluation_id = ask(api, folder, checkpoint)
    start_worker()
    api.follow(evaluation_id)
    (control,) = rows(api, select(Checkpoint).where(Checkpoint.seed == 0))
    assert control.state is CheckpointState.READY
    shards = rows(api, select(Shard).where(Shard.checkpoint_id == control.id))
    weights = store / storage.weights_key(control.weights_sha256)
    flip(weights)
    for shard in shards:
        flip(store / shard.key)
    with api.database.session() as session:
        for shard in shards:
            remakes.extract_again(session, shard.id)
    unfinished = select(Job).where(Job.kind == JobKind.EXTRACT, Job.state != JobState.DONE)
    wait_for(lambda: not rows(api, unfinished))
    assert sha256_of(weights) == control.weights_sha256
    assert [sha256_of(store / shard.key) for shard in shards] == [shard.sha256 for shard in shards]
