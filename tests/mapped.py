"""Evaluations with videos, features in the store and answers: all that a map is drawn of."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from records import storage
from records.db import NOW, Database
from records.models import DatasetRow, Evaluation, Job, JobKind, JobState, MapRow, MapState, Shard
from records.repositories import evaluations
from records.storage import Storage
from tests.service.finished import done, ready_checkpoint, ready_dataset
from vcp_core.benchmarks.grid import grid_clips
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.files import sha256_of
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.datasets.manifest import Dataset, Video
from vcp_core.features.bank import ShardFeatures
from vcp_core.results.answers import answers
from vcp_core.results.types import Predictions
from vcp_core.scoring.maps import SIDE, VideoMap

QUICK, TINY = PROTOCOLS["quick-v1"], BACKBONES["r3d_tiny"]
CLASSES = ("clap", "jump", "run", "sit", "wave")


def videos(num_videos: int = 60, classes: Sequence[str] = CLASSES) -> Dataset:
    """Test videos of all classes in turn, and one training video; there are no files."""
    test = tuple(
        Video(
            id=f"{classes[place % len(classes)]}/v{place:05d}.mp4",
            label=classes[place % len(classes)],
            split="test",
            group=f"g{place // 3}",
            sha256=f"{place:064x}",
            num_frames=40,
        )
        for place in range(num_videos)
    )
    train = Video(id="train.mp4", label=classes[0], split="train", group=None, sha256="f" * 64, num_frames=40)
    return Dataset(name="gestures", split_name="1", root=Path("/videos"), videos=(*test, train))


def recognised(dataset: Dataset, seed: int, skill: float = 0.7) -> Predictions:
    """Answers that are right so often; the rest is guessed."""
    rng = random.Random(seed)
    test, classes = dataset.side("test"), dataset.classes

    def best(label: str) -> list[str]:
        order = rng.sample(classes, len(classes))
        return [label, *(name for name in order if name != label)] if rng.random() < skill else order

    return Predictions(
        benchmark="recognition",
        answers=classes,
        columns={
            "video": [video.id for video in test],
            "group": [video.group for video in test],
            "label": [video.label for video in test],
            "linear": [best(video.label) for video in test],
            "knn": [best(video.label) for video in test],
        },
    )


def features(dataset: Dataset, seed: int, noise: float = 0.3) -> ShardFeatures:
    """A clump for each class; two seeds see the same clumps from another side."""
    classes = dataset.classes
    clumps = np.random.default_rng(0).normal(size=(len(classes), 16))
    rng = np.random.default_rng(seed)
    view = rng.normal(size=(16, 16))
    clips, rows = [], []
    for video in dataset.side("test"):
        seen = clumps[classes.index(video.label)] + noise * rng.normal(size=16)
        for clip in sorted(set(grid_clips(video, QUICK, TINY))):
            clips.append(clip)
            rows.append(seen @ view)
    stages: dict[str, npt.NDArray[np.float32]] = {TINY.stages[-1]: np.array(rows, np.float32)}
    return ShardFeatures(clips=tuple(clips), stages=stages)


def evaluated(
    session: Session, store: Storage, dataset: Dataset, row: DatasetRow, model: str, *, seed: int = 0
) -> Evaluation:
    """An evaluation that is done, with its features in the store."""
    made = done(
        session,
        ready_checkpoint(session, model),
        row,
        {"recognition.top1": 70.0},
        predictions=[recognised(dataset, seed)],
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.safetensors"
        features(dataset, seed).save(path)
        shard = Shard(
            space=model,
            checkpoint_id=made.checkpoint_id,
            dataset_id=row.id,
            number=0,
            clips=[],
            num_clips=3 * len(dataset.videos),
            key=storage.features_key(f"{seed:064x}"),
            sha256=sha256_of(path),
            device="cpu",
        )
        store.put_file(shard.key, path)
    made.shards.append(shard)
    session.flush()
    session.add(
        Job(kind=JobKind.EXTRACT, queue="gpu", team="default", shard_id=shard.id, state=JobState.DONE)
    )
    session.flush()
    return made


def registered(session: Session, store: Storage, dataset: Dataset) -> DatasetRow:
    """The dataset's row, with its manifest in the store."""
    row = ready_dataset(session, dataset.name, dataset.fingerprint)
    store.put_bytes(storage.manifest_key(row.id), dataset.to_json().encode())
    return row


def invented(predictions: Predictions, seed: int = 0) -> VideoMap:
    """A map of these answers with a clump for each class, without t-SNE."""
    rng = np.random.default_rng(seed)
    said = answers(predictions, {})
    number = {name: place for place, name in enumerate(predictions.answers)}
    middles = np.random.default_rng(1).uniform(0.1, 0.9, (len(number), 2))
    near = np.array([middles[number[one.label]] for one in said]) + 0.03 * rng.normal(size=(len(said), 2))
    placed = np.rint(SIDE * near.clip(0, 1)).astype(int)
    return VideoMap(
        classes=predictions.answers,
        videos=tuple(one.video for one in said),
        groups=tuple(one.group for one in said),
        labels=tuple(number[one.label] for one in said),
        answers=tuple(number[one.answer or ""] for one in said),
        right=tuple(one.right for one in said),
        x=tuple(placed[:, 0].tolist()),
        y=tuple(placed[:, 1].tolist()),
        answered_by=predictions.benchmark,
    )


def draw_waiting(database: Database) -> None:
    """Draw the maps that wait, with invented positions, and end their jobs."""
    with database.session() as session:
        for row in session.scalars(select(MapRow).where(MapRow.state == MapState.WAITING)).all():
            said = Predictions.model_validate(
                evaluations.predictions(session, row.evaluation_id)["recognition"]
            )
            row.content = invented(said, row.evaluation_id.int % 1000).model_dump(mode="json")
            row.state, row.finished_at = MapState.DONE, NOW
            job = update(Job).where(Job.map_id == row.id)
            session.execute(job.values(state=JobState.DONE, finished_at=NOW))
