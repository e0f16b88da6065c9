"""Compute the features of one shard, once for all evaluations that need them."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy.orm import Session

from records import flow, storage
from records.models import Checkpoint, Evaluation, Shard
from records.repositories import shards
from worker.tasks.plan import plan_arguments
from worker.work import Work

STALL_S = 600.0


def extract(work: Work) -> None:
    """Forward the clips, unless an earlier attempt has stored their features."""
    # Any evaluation of the shard will do: all agree on precision and features, which its space hashes.
    shard, evaluation = work.read(lambda session: shards.with_evaluation(session, work.subject_id))
    facts = _stored(work, shard) or _forward(work, shard, evaluation)

    def write(session: Session) -> None:
        counts = facts["counts"] | facts.get("machine", {})
        shards.keep_facts(session, work.subject_id, device=facts["device"], counts=counts)
        flow.shard_done(session, work.subject_id)

    work.conclude(write)


def _forward(work: Work, shard: Shard, evaluation: Evaluation) -> dict[str, Any]:
    out = work.folder / "features.safetensors"
    facts = work.in_child(
        "extract",
        affinity=str(shard.dataset_id),
        stall_s=STALL_S,
        plan=plan_arguments(work, evaluation),
        clips=shard.clips,
        weights=_weights(work, evaluation.checkpoint),
        device=work.settings.device,
        out=str(out),
    )
    # Stop if another worker took this job over. Others may have read its features, which may be of another
    # device, and storing ours would replace them.
    work.check()
    if (theirs := _stored(work, shard)) is not None:
        return theirs
    # Store the facts first: if the features exist, their facts then exist, too.
    work.storage.put_bytes(storage.facts_key(shard.key), json.dumps(facts).encode())
    work.storage.put_file_once(shard.key, out)
    return facts


def _weights(work: Work, checkpoint: Checkpoint) -> str | None:
    """Return the local file of the network's weights; None for the pixel baseline, which has no weights."""
    if checkpoint.is_pixels:
        return None
    assert checkpoint.weights_sha256 is not None
    return str(work.cached(storage.weights_key(checkpoint.weights_sha256)))


def _stored(work: Work, shard: Shard) -> dict[str, Any] | None:
    if not work.storage.exists(shard.key):
        return None
    facts: dict[str, Any] = json.loads(work.storage.get_bytes(storage.facts_key(shard.key)))
    return facts
