"""Plan an evaluation: its clips, its controls, the shards of clips that are missing, and its fits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from records import flow, storage
from records.models import Checkpoint, CheckpointState, Evaluation, JobKind, Origin, Shard
from records.repositories import checkpoints, jobs, shards
from vcp_core.benchmarks.parts import group_parts
from vcp_core.catalog.backbones import BACKBONES, BackboneSpec, pixels_like
from vcp_core.catalog.inputs import input_of, with_input
from vcp_core.catalog.protocols import Protocol
from vcp_core.catalog.versions import FEATURES_VERSION
from vcp_core.datasets.manifest import Dataset, Video
from vcp_core.evaluation.plan import EvaluationPlan
from vcp_core.features.shards import Clip, cut_shards
from worker.work import Work

VideoKey = tuple[str, str]  # id, SHA-256


def plan_evaluation(work: Work) -> None:
    """Cut the missing clips into shards, ask for the controls, and queue both."""
    evaluation = work.read(lambda session: session.get_one(Evaluation, work.subject_id))
    checkpoint = evaluation.checkpoint
    manifest = work.storage.get_bytes(storage.manifest_key(evaluation.dataset_id)).decode()
    dataset, protocol = Dataset.from_json(manifest), Protocol.model_validate(evaluation.protocol.content)
    made = EvaluationPlan(dataset=dataset, protocol=protocol, spec=spec_of(checkpoint))
    cut = Cut(
        evaluation,
        dataset,
        wanted={(video.id, video.sha256): set(clips) for video, clips in _clips(made)},
        space=feature_space(checkpoint, made),
        max_clips=work.settings.shard_clips,
    )
    fits = fit_jobs(made, work.settings.fit_values)
    work.read(cut.refresh)  # before taking the flow's lock, because all other workers wait for that lock

    def write(session: Session) -> None:
        row = session.get_one(Evaluation, work.subject_id)
        row.num_clips, row.unavailable = made.num_clips, dict(made.unavailable)
        row.fits, row.scoring_units = fits, made.num_predict_units + made.num_score_units
        cut.refresh(session)
        shared = shards.these(session, cut.shared)
        new = [Shard(**columns) for columns in cut.new]
        session.add_all(new)
        controls = [] if row.is_control else list(_controls(session, row, protocol))
        flow.planned(session, row, [*shared, *new], controls)

    work.conclude(write)


def fit_jobs(made: EvaluationPlan, least_values: int) -> list[dict[str, Any]]:
    """Divide the fits of an evaluation into jobs: `Evaluation.fits`.

    If all fits are one job's work, there is no fit job, and the score job fits. So a small evaluation has one
    job after its features.
    """
    grouped = group_parts(made.parts, least_values)
    if len(grouped) < 2:
        return []
    # The longest job first: workers that share the jobs then end at about the same time.
    grouped.sort(key=lambda parts: -sum(part.num_values for part in parts))
    return [
        {"parts": [str(part) for part in parts], "units": sum(part.num_units for part in parts)}
        for parts in grouped
    ]


class Cut:
    """Divide the wanted clips into existing shards and new ones.

    Clips of a shard are read only once, so a second `refresh` is cheap: it runs under the flow's lock.

    Args:
        evaluation: The planned evaluation.
        dataset: Its videos.
        wanted: Clips by the id and hash of their video.
        space: Features of one `feature_space` can be shared.
        max_clips: Most clips of one shard.

    Attributes:
        shared: Ids of existing shards that hold some of the wanted clips.
        new: Columns of new shards, for the clips that no existing shard holds.
    """

    def __init__(
        self,
        evaluation: Evaluation,
        dataset: Dataset,
        *,
        wanted: dict[VideoKey, set[Clip]],
        space: str,
        max_clips: int,
    ) -> None:
        self._evaluation, self._dataset = evaluation, dataset
        self._wanted, self._space, self._max_clips = wanted, space, max_clips
        self._usable: Sequence[UUID] | None = None
        self._held: dict[UUID, dict[VideoKey, set[Clip]]] = {}  # wanted clips by shard
        self.shared: list[UUID] = []
        self.new: list[dict[str, Any]] = []

    def refresh(self, session: Session) -> None:
        """Read the shards that exist now. If none came or went since the last call, change nothing."""
        usable = shards.usable(session, self._space)
        if usable == self._usable:
            return
        self._read(session, [shard_id for shard_id in usable if shard_id not in self._held])
        missing = {video: set(clips) for video, clips in self._wanted.items()}
        self.shared = []
        for shard_id in usable:
            useful = {video: held for video, held in self._held[shard_id].items() if held & missing[video]}
            for video, held in useful.items():
                missing[video] -= held
            if useful:
                self.shared.append(shard_id)
        self.new = self._shards(missing)
        self._usable = usable

    def _read(self, session: Session, shard_ids: Sequence[UUID]) -> None:
        for shard_id, videos in shards.clips(session, shard_ids):
            held = {
                (video_id, sha256): wanted & {Clip(video_id, *clip) for clip in clips}
                for video_id, sha256, clips in videos
                if (wanted := self._wanted.get((video_id, sha256)))
            }
            self._held[shard_id] = held

    def _shards(self, missing: dict[VideoKey, set[Clip]]) -> list[dict[str, Any]]:
        found = cut_shards(
            self._dataset.videos,
            lambda video: missing.get((video.id, video.sha256), ()),
            max_clips=self._max_clips,
        )
        return [
            {
                "space": self._space,
                "checkpoint_id": self._evaluation.checkpoint_id,
                "dataset_id": self._evaluation.dataset_id,
                "number": shard.number,
                "clips": (
                    clips := [[v.id, v.sha256, [list(clip[1:]) for clip in c]] for v, c in shard.videos]
                ),
                "num_clips": shard.num_clips,
                "key": storage.features_key(_hash([self._space, clips])),
            }
            for shard in found
        ]


def spec_of(checkpoint: Checkpoint) -> BackboneSpec:
    """Return the catalog's spec of a ready checkpoint, with the input that its owner declared."""
    assert checkpoint.backbone is not None
    spec = with_input(BACKBONES[checkpoint.backbone], checkpoint.input_spec)
    return pixels_like(spec) if checkpoint.is_pixels else spec


def plan_arguments(work: Work, evaluation: Evaluation) -> dict[str, Any]:
    """Describe an evaluation in plain values. The child makes an `EvaluationPlan` of them."""
    checkpoint = evaluation.checkpoint
    return {
        "manifest": str(work.cached(storage.manifest_key(evaluation.dataset_id))),
        "protocol": evaluation.protocol.content,
        "backbone": checkpoint.backbone,
        "input_spec": checkpoint.input_spec,
        "of_pixels": checkpoint.is_pixels,
    }


def feature_space(checkpoint: Checkpoint, made: EvaluationPlan) -> str:
    """Hash everything that determines a feature, except the clip. The shard notes the device."""
    network = checkpoint.control_key if checkpoint.is_pixels else checkpoint.weights_sha256
    assert network is not None
    decides: list[object] = [FEATURES_VERSION, version("torch"), version("av"), network]
    decides += [input_of(made.spec), made.protocol.precision, made.protocol.frames, made.max_pooled]
    return _hash(decides)


def _clips(made: EvaluationPlan) -> Iterable[tuple[Video, tuple[Clip, ...]]]:
    for shard in made.shards:
        yield from shard.videos


def _controls(session: Session, evaluation: Evaluation, protocol: Protocol) -> Iterator[Evaluation]:
    """Find or make the control evaluations: one of random weights for every seed, and one of pixels.

    A control's weights do not depend on scoring. Its evaluation belongs to one engine, like every evaluation.
    So a new benchmark, or a new way of scoring, measures the same weights again.
    """
    networks = list(_random_weights(session, evaluation, protocol))
    if protocol.control.pixels:
        networks.append(_pixels(session, evaluation))
    for checkpoint in networks:
        control, _ = flow.find_or_create(
            session,
            checkpoint,
            evaluation.dataset,
            evaluation.protocol_hash,
            team=evaluation.team,
            is_control=True,
            priority=evaluation.priority,
        )
        yield control


def _pixels(session: Session, evaluation: Evaluation) -> Checkpoint:
    """Find or make the pixel baseline for clips as this evaluation's network takes them.

    All networks that take clips alike share one baseline.
    """
    spec = pixels_like(spec_of(evaluation.checkpoint))
    key = _hash([spec.name, input_of(spec), spec.stage_dims])
    checkpoint = checkpoints.control(session, key)
    if checkpoint is None:
        checkpoint = Checkpoint(
            origin=Origin.CONTROL,
            state=CheckpointState.READY,
            backbone=evaluation.checkpoint.backbone,
            input_spec=evaluation.checkpoint.input_spec,
            control_key=key,
            report={"backbone": spec.name},
        )
        session.add(checkpoint)
        session.flush()
    return checkpoint


def _random_weights(session: Session, evaluation: Evaluation, protocol: Protocol) -> Iterator[Checkpoint]:
    backbone, input_spec = evaluation.checkpoint.backbone, evaluation.checkpoint.input_spec
    for seed in protocol.control.seeds:
        key = _hash(
            [
                FEATURES_VERSION,
                *(version(package) for package in ("torch", "av", "numpy", "scipy")),
                backbone,
                input_of(spec_of(evaluation.checkpoint)),
                seed,
                evaluation.dataset.fingerprint,
                protocol.hash,
            ]
        )
        checkpoint = checkpoints.control(session, key)
        if checkpoint is None:
            checkpoint = Checkpoint(
                origin=Origin.CONTROL,
                state=CheckpointState.INGESTING,
                backbone=backbone,
                input_spec=input_spec,
                seed=seed,
                control_key=key,
            )
            session.add(checkpoint)
            session.flush()
            jobs.enqueue(
                session,
                JobKind.CALIBRATE,
                team=evaluation.team,
                checkpoint_id=checkpoint.id,
                priority=evaluation.priority,
            )
        yield checkpoint


def _hash(parts: list[object]) -> str:
    return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()
