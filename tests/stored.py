"""Rows and the objects that they name: checkpoints, evaluations that share features, what hangs on them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from records import storage
from records.db import NOW, Database
from records.models import (
    AliasMove,
    Checkpoint,
    CheckpointState,
    Comparison,
    ComparisonState,
    DatasetRow,
    Evaluation,
    Job,
    JobKind,
    JobState,
    MapRow,
    MapState,
    Media,
    MediaState,
    Note,
    Origin,
    Shard,
    Share,
)
from records.repositories import many_comparisons, shards, shares
from records.repositories.visibility import EVERYTHING
from records.storage import Storage
from tests.served import sha256
from tests.service.finished import done, ready_checkpoint, ready_dataset
from vcp_core.scoring.maps import MAP_VERSION
from vcp_core.scoring.stored_comparison import COMPARED_VERSION
from vcp_core.scoring.stored_many import MANY_VERSION

VALUES = {"recognition.top1": 50.0}


@dataclass(frozen=True, kw_only=True)
class World:
    """Three checkpoints of two teams. Two have the same file and share features; all share a control.

    Attributes:
        dataset: The dataset of all evaluations.
        ours: Checkpoint of team vision, at which its alias `champion` points.
        twin: Checkpoint of team audio with the same file and weights.
        other: Another checkpoint of team vision.
        evaluations: Their evaluations, in this order.
        control: The control evaluation.
        own: A shard that only the first evaluation needs.
        shared: A shard that the first two need.
        of_control: The shard of the control.
        many: A comparison of all three evaluations, asked for by team audio.
        secret: Of a link to the first evaluation.
    """

    dataset: UUID
    ours: UUID
    twin: UUID
    other: UUID
    evaluations: tuple[UUID, UUID, UUID]
    control: UUID
    own: UUID
    shared: UUID
    of_control: UUID
    many: UUID
    secret: str


def make(database: Database, store: Storage, name: str = "gestures") -> World:
    """Make all of it."""
    with database.session() as session:
        return _make(session, store, name)


def _make(session: Session, store: Storage, name: str) -> World:
    dataset = ready_dataset(session, name)
    _manifest(store, dataset)
    ours = _checkpoint(session, store, "ours", "vision", f"file of {name}")
    twin = _checkpoint(session, store, "twin", "audio", f"file of {name}")
    other = _checkpoint(session, store, "other", "vision", f"another file of {name}")
    first, second, third = (done(session, one, dataset, VALUES) for one in (ours, twin, other))
    own = shard(session, store, [first], f"own of {name}")
    shared = shard(session, store, [first, second], f"shared of {name}", number=1)
    shard(session, store, [third], f"third of {name}")
    weights = Checkpoint(
        origin=Origin.CONTROL,
        state=CheckpointState.READY,
        seed=0,
        backbone="r3d_tiny",
        control_key=f"of {name}",
    )
    _weights(store, weights, f"random weights of {name}")
    session.add(weights)
    session.flush()
    control = done(session, weights, dataset, VALUES, is_control=True)
    of_control = shard(session, store, [control], f"control of {name}")
    for one in (first, second, third):
        one.controls = [control]
    pair = Comparison(
        first_id=first.id, second_id=second.id, version=COMPARED_VERSION, state=ComparisonState.DONE
    )
    members = [first.id, second.id, third.id]
    many = many_comparisons.make(session, third.id, members, version=MANY_VERSION, team="audio", total=3)
    session.add_all(
        [
            pair,
            MapRow(evaluation_id=first.id, version=MAP_VERSION, state=MapState.DONE, content={}),
            MapRow(evaluation_id=second.id, like_id=first.id, version=MAP_VERSION, state=MapState.DONE),
            Note(evaluation_id=first.id, team="audio", by="somebody", text="good"),
            AliasMove(team="vision", name="champion", checkpoint_id=ours.id, by="somebody"),
            media(store, dataset),
        ]
    )
    _, secret = shares.create(session, first.id, None, team="vision", by="somebody", days=7)
    shares.create(session, third.id, first.id, team="audio", by="somebody", days=7)
    session.flush()
    return World(
        dataset=dataset.id,
        ours=ours.id,
        twin=twin.id,
        other=other.id,
        evaluations=(first.id, second.id, third.id),
        control=control.id,
        own=own.id,
        shared=shared.id,
        of_control=of_control.id,
        many=many.id,
        secret=secret,
    )


def _checkpoint(session: Session, store: Storage, model: str, team: str, content: str) -> Checkpoint:
    found = ready_checkpoint(session, model, team=team, report={})
    found.sha256, found.size_bytes = sha256(content.encode()), len(content)
    store.put_bytes(storage.checkpoint_key(found.sha256), content.encode())
    _weights(store, found, f"weights of {content}")
    return found


def _weights(store: Storage, checkpoint: Checkpoint, content: str) -> None:
    checkpoint.weights_sha256, checkpoint.weights_bytes = sha256(content.encode()), len(content)
    store.put_bytes(storage.weights_key(checkpoint.weights_sha256), content.encode())


def _manifest(store: Storage, dataset: DatasetRow) -> None:
    content = f"manifest of {dataset.name}".encode()
    dataset.manifest_sha256, dataset.manifest_bytes = sha256(content), len(content)
    store.put_bytes(storage.manifest_key(dataset.id), content)


def media(store: Storage, dataset: DatasetRow, *, unused_days: float = 0.0) -> Media:
    """Previews that nobody looked at for some days."""
    content = f"previews of {dataset.name} for {unused_days}".encode()
    store.put_bytes(storage.media_key(sha256(content)), content)
    return Media(
        dataset_id=dataset.id,
        fingerprint=dataset.fingerprint or "",
        geometry="resize=64x86,crop=56",
        protocol_hash="",
        number=int(unused_days),
        state=MediaState.MADE,
        sha256=sha256(content),
        size_bytes=len(content),
        files={},
        used_at=NOW - timedelta(days=unused_days),
    )


def shard(
    session: Session,
    store: Storage,
    needed_by: Sequence[Evaluation],
    content: str,
    *,
    number: int = 0,
    unused_days: float = 0.0,
) -> Shard:
    """A shard whose features are stored, and were not used for some days."""
    digest = hashlib.sha256(content.encode()).hexdigest()[:32]
    found = Shard(
        space=content,
        checkpoint_id=needed_by[0].checkpoint_id,
        dataset_id=needed_by[0].dataset_id,
        number=number,
        clips=[],
        num_clips=1,
        key=storage.features_key(digest),
        sha256=sha256(content.encode()),
        size_bytes=len(content),
        used_at=NOW - timedelta(days=unused_days),
    )
    session.add(found)
    session.flush()
    for one in needed_by:
        shards.link(session, one.id, [found.id])
    state = JobState.DONE
    session.add(
        Job(kind=JobKind.EXTRACT, queue="gpu", team="vision", shard_id=found.id, state=state, finished_at=NOW)
    )
    session.flush()
    store.put_bytes(storage.facts_key(found.key), json.dumps({"facts": content}).encode())
    store.put_bytes(found.key, content.encode())
    return found


def shares_of(session: Session, team: str) -> list[Share]:
    """A team's links."""
    return list(shares.page(session, team, EVERYTHING, limit=100)[0])
