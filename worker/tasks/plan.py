"""Which clips an evaluation needs, which of them nobody has forwarded yet, and which controls."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from importlib.metadata import version

from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from records import flow, jobs, storage
from records.models import Checkpoint, CheckpointState, Evaluation, Job, JobKind, JobState, Origin, Shard
from vcp_core.bank import ENGINE_VERSION
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.protocols import Protocol
from vcp_core.datasets.manifest import Dataset, Video
from vcp_core.plan import Plan
from vcp_core.shards import Clip, plan_shards
from worker.work import Work

LIVING = (JobState.QUEUED, JobState.RUNNING, JobState.DONE)


def plan(work: Work) -> None:
    """Cut what is missing into shards, ask for the controls, and let both be queued."""
    evaluation = work.read(lambda session: session.get_one(Evaluation, work.subject_id))
    checkpoint = evaluation.checkpoint
    assert checkpoint.backbone is not None
    assert checkpoint.weights_sha256 is not None
    manifest = work.storage.get_bytes(storage.manifest_key(evaluation.dataset_id)).decode()
    dataset, protocol = Dataset.from_json(manifest), Protocol.model_validate(evaluation.protocol.content)
    made = Plan(dataset=dataset, protocol=protocol, spec=BACKBONES[checkpoint.backbone])
    wanted = {(shard_video.id, shard_video.sha256): set(clips) for shard_video, clips in _clips(made)}
    space = feature_space(checkpoint.weights_sha256, protocol)

    def write(session: Session) -> None:
        row = session.get_one(Evaluation, work.subject_id)
        row.num_clips, row.unavailable = made.num_clips, dict(made.unavailable)
        shared, missing = _split(session, space, wanted)
        new = [
            Shard(
                space=space,
                checkpoint_id=row.checkpoint_id,
                dataset_id=row.dataset_id,
                number=shard.number,
                clips=(clips := [[v.id, v.sha256, [list(clip[1:]) for clip in c]] for v, c in shard.videos]),
                num_clips=shard.num_clips,
                key=storage.features_key(_hash([space, clips])),
            )
            for shard in plan_shards(
                dataset.videos,
                lambda video: missing.get((video.id, video.sha256), ()),
                max_clips=work.settings.shard_clips,
            )
        ]
        session.add_all(new)
        controls = [] if row.is_control else _controls(session, row, protocol)
        flow.planned(session, row, [*shared, *new], controls)

    work.conclude(write)


def feature_space(weights_sha256: str, protocol: Protocol) -> str:
    """Hash of everything but the clip that determines a feature; devices are noted on the shard."""
    decides: list[object] = [ENGINE_VERSION, version("torch"), version("av"), weights_sha256]
    decides += [protocol.precision, protocol.frames]
    # Only where it is asked for: shards that were stored before it could be are still found.
    decides += ["max-pooled"] if protocol.retrieval.max_pooled else []
    return _hash(decides)


def _clips(made: Plan) -> Iterable[tuple[Video, tuple[Clip, ...]]]:
    for shard in made.shards:
        yield from shard.videos


def _split(
    session: Session, space: str, wanted: dict[tuple[str, str], set[Clip]]
) -> tuple[list[Shard], dict[tuple[str, str], set[Clip]]]:
    """Shards that hold some of the wanted clips, and the clips that none holds."""
    missing = {video: set(clips) for video, clips in wanted.items()}
    shared: list[Shard] = []
    query = (
        select(Shard)
        .join(Job, Job.shard_id == Shard.id)
        .where(Shard.space == space, Job.state.in_(LIVING))
        .order_by(Shard.created_at, Shard.number)
        .options(undefer(Shard.clips))
    )
    for shard in session.scalars(query):
        useful = False
        for video_id, sha256, clips in shard.clips:
            held = missing.get((video_id, sha256), set()) & {Clip(video_id, *clip) for clip in clips}
            if held:
                missing[(video_id, sha256)] -= held
                useful = True
        if useful:
            shared.append(shard)
    return shared, missing


def _controls(session: Session, evaluation: Evaluation, protocol: Protocol) -> list[Evaluation]:
    """An evaluation of random weights for every seed; new ones are made."""
    backbone = evaluation.checkpoint.backbone
    controls = []
    for seed in protocol.control.seeds:
        key = _hash(
            [
                ENGINE_VERSION,
                *(version(package) for package in ("torch", "av", "numpy", "scipy")),
                backbone,
                seed,
                evaluation.dataset.fingerprint,
                protocol.hash,
            ]
        )
        checkpoint = session.scalars(select(Checkpoint).where(Checkpoint.control_key == key)).one_or_none()
        if checkpoint is None:
            checkpoint = Checkpoint(
                origin=Origin.CONTROL,
                state=CheckpointState.INGESTING,
                backbone=backbone,
                seed=seed,
                control_key=key,
            )
            session.add(checkpoint)
            session.flush()
            jobs.enqueue(session, JobKind.CALIBRATE, team=evaluation.team, checkpoint_id=checkpoint.id)
        control, _ = flow.request(
            session,
            checkpoint,
            evaluation.dataset,
            evaluation.protocol_hash,
            team=evaluation.team,
            is_control=True,
        )
        controls.append(control)
    return controls


def _hash(parts: list[object]) -> str:
    return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()
