"""Plan an evaluation: its clips, its controls, the shards of clips that are missing, and its fits.

The worker's child counts and cuts (worker/planning.py). New shards are written in pieces, and no other worker
waits meanwhile: they count once they have jobs. Only the end takes the flow's lock.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from records import flow, storage
from records.models import Checkpoint, CheckpointState, Evaluation, Origin
from records.repositories import checkpoints, many_jobs, shards
from vcp_core.catalog.errors import VersionError
from vcp_core.catalog.inputs import input_of
from vcp_core.catalog.protocols import Protocol
from vcp_core.catalog.readings import reading_in_keys
from vcp_core.catalog.specs import BackboneSpec, pixels_like
from vcp_core.catalog.versions import FEATURES_VERSION
from worker.planning import digest
from worker.runner import Out
from worker.tasks.index import manifest_of
from worker.work import Work

STALL_S = 600.0
PIECE_CLIPS = 50_000  # of new shards in one transaction: about a megabyte of text
PIECE_SHARDS = 100  # existing ones, whose clips are read at a time
PATIENT_TRIES = 3


class SpaceChanged(Exception):
    """Shards that the plan shares, or could share, came or went while it was made."""


def plan_evaluation(work: Work) -> None:
    """Cut the missing clips into shards, ask for the controls, and queue both."""
    evaluation = work.read(lambda session: session.get_one(Evaluation, work.subject_id))
    in_child = partial(
        work.in_child,
        stall_s=STALL_S,
        plan=plan_arguments(work, evaluation),
    )
    facts = in_child("size", fit_values=work.settings.fit_values)
    space = feature_space(evaluation, max_pooled=facts["max_pooled"])
    for tries in itertools.count(1):
        usable = work.read(lambda session: shards.usable(session, space))
        held, out = _held_to_file(work, usable), work.folder / "shards.jsonl"
        shard_clips = work.settings.shard_clips
        cut = in_child("cut", held=held, space=space, shard_clips=shard_clips, out=Out(out))
        _write_new(work, evaluation, space, out)
        try:
            _conclude(work, space, usable, facts | cut, patient=tries < PATIENT_TRIES)
            return
        except SpaceChanged:
            continue


def _held_to_file(work: Work, shard_ids: Sequence[UUID]) -> Path:
    """Write the clips of existing shards to a file, one shard on a line."""
    path = work.folder / "held.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for begin in range(0, len(shard_ids), PIECE_SHARDS):
            some = shard_ids[begin : begin + PIECE_SHARDS]
            clips = work.read(partial(shards.clips, shard_ids=some))
            file.writelines(f'["{shard_id}",{clips[shard_id]}]\n' for shard_id in some)
    return path


def _write_new(work: Work, evaluation: Evaluation, space: str, cut: Path) -> None:
    """Write the new shards, in pieces, and delete those of an earlier attempt."""
    work.prepare(partial(shards.forget_unplanned, evaluation_id=evaluation.id))
    facts = {
        "space": space,
        "checkpoint_id": evaluation.checkpoint_id,
        "dataset_id": evaluation.dataset_id,
    }
    for piece in _pieces(cut):
        keys = [storage.features_key(shard.pop("digest")) for shard in piece]
        rows = [{**facts, **shard, "key": key} for shard, key in zip(piece, keys, strict=True)]
        work.prepare(partial(shards.add, evaluation_id=evaluation.id, rows=rows))


def _pieces(cut: Path) -> Iterator[list[dict[str, Any]]]:
    piece: list[dict[str, Any]] = []
    num_clips = 0
    with cut.open(encoding="utf-8") as lines:
        for line in lines:
            piece.append(json.loads(line))
            num_clips += piece[-1]["num_clips"]
            if num_clips >= PIECE_CLIPS:
                yield piece
                piece, num_clips = [], 0
    if piece:
        yield piece


def _conclude(
    work: Work, space: str, usable: Sequence[UUID], found: dict[str, Any], *, patient: bool
) -> None:
    """End the planning under the flow's lock.

    Raises:
        SpaceChanged: If a shared shard went meanwhile. If `patient`, also if any other came or went.
    """
    shared = [UUID(shard_id) for shard_id in found["shared"]]

    def write(session: Session) -> None:
        now = shards.usable(session, space)
        if not set(shared) <= set(now) or (patient and now != usable):
            raise SpaceChanged
        row = session.get_one(Evaluation, work.subject_id)
        row.num_clips, row.unavailable = found["num_clips"], found["unavailable"]
        row.fits, row.scoring_units = found["fits"], found["scoring_units"]
        protocol = Protocol.model_validate(row.protocol.content)
        controls = [] if row.is_control else controls_of(session, row, protocol)
        flow.planned(session, row, shared, controls)

    work.conclude(write)


def expect_same_facts(evaluation: Evaluation) -> None:
    """Make sure that the facts of the checkpoint's key scheme are those that the evaluation was planned with.

    Raises:
        VersionError: If another version of vcpbench planned it.
    """
    if evaluation.outdated:
        raise VersionError("vcpbench was updated while this was evaluated. Ask for it again.")


def spec_of(checkpoint: Checkpoint) -> BackboneSpec:
    """Return the facts of a ready checkpoint's network, or of the pixel baseline."""
    return pixels_like(checkpoint.spec) if checkpoint.is_pixels else checkpoint.spec


def plan_arguments(work: Work, evaluation: Evaluation) -> dict[str, Any]:
    """Describe an evaluation in plain values. The child makes an `EvaluationPlan` of them."""
    checkpoint = evaluation.checkpoint
    return {
        "manifest": manifest_of(work, evaluation.dataset),
        "protocol": evaluation.protocol.content,
        "backbone": checkpoint.backbone,
        "graph": checkpoint.graph,
        "scheme": checkpoint.scheme,
        "variant": checkpoint.variant,
        "input_spec": checkpoint.input_spec,
        "of_pixels": checkpoint.is_pixels,
    }


def _owner(evaluation: Evaluation, *, of_control: bool) -> list[str]:
    """The team that alone may reuse the features of an evaluation, or its controls; empty if all teams may.

    A run that forwards no clip would tell that another team has the same file. So would a control of a graph
    that is there already. The controls of the catalog's backbones are the installation's own.
    """
    shared = of_control and evaluation.checkpoint.graph is None
    return [] if shared else [evaluation.team]


def feature_space(evaluation: Evaluation, *, max_pooled: bool) -> str:
    """Hash everything that determines a feature, except the clip, and whose it is.

    The keys of shards hash the space, so no worker finds the object of another team. The shard notes the
    device.
    """
    checkpoint = evaluation.checkpoint
    protocol = Protocol.model_validate(evaluation.protocol.content)
    network = checkpoint.control_key if checkpoint.is_pixels else checkpoint.weights_sha256
    assert network is not None
    decides: list[object] = [FEATURES_VERSION, version("torch"), version("av"), network]
    spec = spec_of(checkpoint)
    decides += [input_of(spec), protocol.precision, protocol.frames, max_pooled, *reading_in_keys(spec)]
    return digest([*decides, *_owner(evaluation, of_control=evaluation.is_control)])


def controls_of(session: Session, evaluation: Evaluation, protocol: Protocol) -> list[Evaluation]:
    """Find or make the control evaluations: one of random weights for every seed, and one of pixels.

    A control's weights do not depend on scoring. Its evaluation belongs to one engine, like every evaluation.
    So a new benchmark, or a new way of scoring, measures the same weights again.
    """
    network = evaluation.checkpoint
    alike = {
        name: getattr(network, name) for name in ("backbone", "graph", "scheme", "variant", "input_spec")
    }
    networks = {
        _key_of_seed(evaluation, protocol, seed): Checkpoint(
            origin=Origin.CONTROL, state=CheckpointState.INGESTING, seed=seed, **alike
        )
        for seed in protocol.control.seeds
    }
    if protocol.control.pixels:
        spec = pixels_like(spec_of(network))
        # All backbones of the catalog that take clips alike share one baseline.
        key = digest([spec.name, input_of(spec), spec.stage_dims, *_owner(evaluation, of_control=True)])
        networks[key] = Checkpoint(
            origin=Origin.CONTROL, state=CheckpointState.READY, report={"backbone": spec.name}, **alike
        )
    found, _ = flow.find_or_create_all(
        session,
        _weights(session, evaluation, networks),
        evaluation.dataset,
        evaluation.protocol_hash,
        team=evaluation.team,
        is_control=True,
        priority=evaluation.priority,
        asked_at=evaluation.asked_at,
    )
    return found


def _weights(session: Session, evaluation: Evaluation, networks: dict[str, Checkpoint]) -> list[UUID]:
    """Ids of the controls with these keys. Missing ones are made, and their calibration is queued."""
    there = checkpoints.controls(session, list(networks))
    new = {key: network for key, network in networks.items() if key not in there}
    for key, network in new.items():
        network.control_key = key
    session.add_all(new.values())
    session.flush()
    waiting = [one.id for one in new.values() if one.state is CheckpointState.INGESTING]
    many_jobs.enqueue_calibrations(session, waiting, evaluation)
    return [(there.get(key) or network).id for key, network in networks.items()]


def _key_of_seed(evaluation: Evaluation, protocol: Protocol, seed: int) -> str:
    """Hash everything that determines the calibrated random weights of a seed."""
    spec = spec_of(evaluation.checkpoint)
    return digest(
        [
            FEATURES_VERSION,
            *(version(package) for package in ("torch", "av", "numpy", "scipy")),
            evaluation.checkpoint.backbone,
            input_of(spec),
            *reading_in_keys(spec),
            seed,
            evaluation.dataset.fingerprint,
            protocol.hash,
            *_owner(evaluation, of_control=True),
        ]
    )
