"""Compute the features of one shard, once for all evaluations that need them."""

from __future__ import annotations

from sqlalchemy.orm import Session

from records import flow
from records.models import Evaluation, Shard
from records.repositories import shards
from worker.runner import Out
from worker.tasks import features
from worker.tasks.plan import expect_same_facts, plan_arguments
from worker.tasks.weights import weights_of
from worker.work import Work

STALL_S = 600.0


def extract(work: Work) -> None:
    """Forward the clips, unless an earlier attempt has stored their features."""
    # Any evaluation of the shard will do: all agree on precision and features, which its space hashes.
    shard, evaluation = work.read(lambda session: shards.with_evaluation(session, work.subject_id))
    found = features.stored(work, shard) or _forward(work, shard, evaluation)
    facts = found.facts

    def write(session: Session) -> None:
        counts = facts["counts"] | facts.get("machine", {})
        shards.keep_facts(
            session,
            work.subject_id,
            device=facts["device"],
            counts=counts,
            sha256=found.sha256,
            size_bytes=found.size_bytes,
        )
        flow.shard_done(session, work.subject_id)

    work.conclude(write)


def _forward(work: Work, shard: Shard, evaluation: Evaluation) -> features.Stored:
    expect_same_facts(evaluation)  # or its key would name features that these are not
    out = work.folder / "features.safetensors"
    weights = weights_of(work, evaluation)
    facts = work.in_child(
        "extract",
        stall_s=STALL_S,
        decodes=evaluation.dataset,
        runs=evaluation.checkpoint,
        plan=plan_arguments(work, evaluation),
        clips=shard.clips,
        weights=weights,
        alone=shard.number == 0,  # once is enough: all shards have the same weights
        device=work.settings.device,
        out=Out(out),
    )
    # Stop if another worker took this job over. Others may have read its features, which may be of another
    # device, and storing ours would replace them.
    work.check()
    if (theirs := features.stored(work, shard)) is not None:
        return theirs
    return features.store(work, shard, facts, out)
