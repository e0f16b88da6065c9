"""A dataset with its manifest, and finished evaluations with the times of their jobs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from records import storage as objects
from records.db import NOW
from records.models import Checkpoint, DatasetRow, Evaluation, Job, JobKind, JobState, Shard
from tests.served import Served
from tests.service.finished import done, ready_checkpoint, ready_dataset
from vcp_core.datasets.manifest import Dataset, Video

COUNTS = {
    "decoded_frames": 1000,
    "forwarded_clips": 100,
    "decode_s": 4.0,
    "wait_s": 1.0,
    "forward_s": 5.0,
    "batch_clips": 8,
}


def gestures(num_videos: int = 12) -> Dataset:
    videos = tuple(
        Video(
            id=f"c{number % 2}/{number}.mp4",
            label=f"c{number % 2}",
            split="test" if number % 3 == 0 else "train",
            group=None,
            sha256="0" * 64,
            num_frames=100 + number,
        )
        for number in range(num_videos)
    )
    return Dataset(name="gestures", split_name="1", root=Path("nowhere"), videos=videos)


def counted_dataset(api: Served, num_videos: int = 12) -> DatasetRow:
    """A dataset that a worker has indexed."""
    with api.database.session() as session:
        row = ready_dataset(session)
        manifest = gestures(num_videos).to_json().encode()
        api.app.state.storage.put_bytes(objects.manifest_key(row.id), manifest)
    return row


def ran(
    session: Session,
    dataset: DatasetRow,
    *,
    checkpoint: Checkpoint | None = None,
    shard_s: float = 8.0,
    score_s: float = 20.0,
    device: str = "cpu",
    **facts: Any,
) -> Evaluation:
    """A finished evaluation of 100 clips in one shard, with the times of its jobs. Two fits share scoring."""
    checkpoint = checkpoint or ready_checkpoint(session, f"model-{uuid4()}")
    found = done(session, checkpoint, dataset, {}, num_clips=100, **facts)
    shard = Shard(
        space=str(uuid4()),
        checkpoint_id=checkpoint.id,
        dataset_id=dataset.id,
        number=0,
        clips=[],
        num_clips=100,
        key=str(uuid4()),
        device=device,
        counts=COUNTS,
    )
    found.shards.append(shard)
    session.flush()
    subjects: list[tuple[JobKind, dict[str, Any], float]] = [
        (JobKind.EXTRACT, {"shard_id": shard.id}, shard_s),
        (JobKind.FIT, {"evaluation_id": found.id, "number": 0}, score_s / 2),
        (JobKind.FIT, {"evaluation_id": found.id, "number": 1}, score_s / 4),
        (JobKind.SCORE, {"evaluation_id": found.id}, score_s / 4),
    ]
    now = session.scalars(select(NOW)).one()  # read once: the clock goes on between two readings
    for kind, subject, seconds in subjects:
        times = {"started_at": now - timedelta(seconds=seconds), "finished_at": now}
        session.add(Job(kind=kind, queue=kind.queue, team="default", state=JobState.DONE, **subject, **times))
    session.flush()
    return found
