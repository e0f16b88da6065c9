"""What happens when features turn out to be damaged in the store: they are extracted again.

The job that noticed it ends, and its evaluation waits for the shard again, as before its first extraction.
Other evaluations that are being scored from the same shard wait, too. All of this is one transaction under
the flow's lock. So if a worker is killed before it commits, the next attempt at its job notices the damage
again. If two workers notice the same damage, the second finds the shard's job queued already.

Features that retention deleted (`records.retention`) are extracted again in the same way, when a map needs
them. No evaluation that has not ended can need them.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy.orm import Session

from records import flow
from records.models import Evaluation, EvaluationState, JobState, Shard
from records.repositories import evaluations, locks, remakes, shards
from vcp_core.catalog.errors import VcpbenchError


def features_damaged(
    session: Session, evaluation: Evaluation, noticed_by: UUID, damaged: Mapping[UUID, str | None]
) -> None:
    """Extract damaged features again, and let the evaluations that need them wait.

    Args:
        session: Holds the flow's lock.
        evaluation: The evaluation whose job noticed the damage.
        noticed_by: Id of this job. It is queued anew with the evaluation's other fits and scores.
        damaged: The shards, each with the hash that its object should have had.

    Raises:
        LockNotHeld: If the transaction does not hold the flow's lock.
    """
    locks.expect(session, flow.FLOW)
    _wait_again(session, evaluation, also=noticed_by)
    _extract_again(session, damaged)
    flow.advance(session, evaluation)


def features_of_done_damaged(session: Session, damaged: Mapping[UUID, str | None]) -> None:
    """Extract damaged features again for an evaluation that is already done. A map needs them.

    The evaluation keeps its scores. Whoever noticed the damage looks again later.

    Args:
        session: Holds the flow's lock.
        damaged: The shards, each with the hash that its object should have had.

    Raises:
        LockNotHeld: If the transaction does not hold the flow's lock.
    """
    locks.expect(session, flow.FLOW)
    _extract_again(session, damaged)


def remake_features(session: Session, evaluation: Evaluation) -> None:
    """Extract the features of an evaluation that is done again, if retention deleted them. A map needs them.

    Args:
        session: Holds the flow's lock.
        evaluation: The evaluation. It keeps its scores.

    Raises:
        LockNotHeld: If the transaction does not hold the flow's lock.
        VcpbenchError: If they cannot be made again.
    """
    locks.expect(session, flow.FLOW)
    unmade = shards.unmade(session, evaluation)
    for shard, job in unmade:
        if shard.swept_at is None and job.state is JobState.FAILED:
            reason = job.error or VcpbenchError("no reason was left behind")
            raise reason.within("its features were deleted, and cannot be made again: ")
    remakes.extract_swept(session, [shard.id for shard, _ in unmade])


def _extract_again(session: Session, damaged: Mapping[UUID, str | None]) -> None:
    """Queue shards again, and let all evaluations wait that need them."""
    for shard_id, sha256 in damaged.items():
        if session.get_one(Shard, shard_id).sha256 != sha256:  # made again since the job read its row
            continue
        failed = remakes.extract_again(session, shard_id)
        if failed is not None:
            flow.job_failed(session, failed)
            continue
        for other in evaluations.needing_shard(session, shard_id):
            _wait_again(session, other)


def _wait_again(session: Session, evaluation: Evaluation, *, also: UUID | None = None) -> None:
    """Take an evaluation back to the state in which it waits for features."""
    if evaluation.state is EvaluationState.SCORING:
        evaluation.state = EvaluationState.RUNNING
        session.flush()
    if evaluation.state is EvaluationState.RUNNING:
        remakes.forget_scoring(session, evaluation, also=also)
