"""Delete evaluations, checkpoints, models and datasets, with all that hangs on them.

All rows of a deletion go in one transaction under the flow's lock. Work for them is cancelled first. Objects
go afterwards: no row names them any more, so the next sweep deletes them (`records.orphans`).

What others use stays. Features that another evaluation needs, a file that another checkpoint has, too, and
controls are not touched. Where people kept an id, a tombstone answers: a share link, the history of an alias,
and a comparison of many say "deleted" and when. docs/decisions/2026-11-30-deletion.md decides row by row.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from sqlalchemy.orm import Session

from records import flow
from records.models import Checkpoint, DatasetRow, Evaluation, Model
from records.repositories import checkpoints, deletions, jobs, locks, tombstones
from records.repositories.deletions import Doomed, Line

Subject = Checkpoint | DatasetRow | Evaluation | Model


@dataclass(frozen=True, kw_only=True)
class Account:
    """What a deletion takes, and what stays because others use it."""

    goes: list[Line]
    stays: list[Line]


def account(session: Session, subject: Subject, *, team: str | None = None) -> Account:
    """Count what the deletion of something would take. Nothing changes.

    Args:
        session: Of the caller.
        subject: As for `delete`.
        team: The team that is told. It does not learn what only other teams hold. None learns everything.
    """
    return _account(session, _doomed(session, subject), team)


def delete(session: Session, subject: Subject, *, by: str, team: str | None = None) -> Account:
    """Delete something, and return what went. The session's owner commits.

    Args:
        session: Holds the flow's lock.
        subject: An upload, its evaluation, a model, or a dataset that was retired.
        by: Name of the token that deletes it.
        team: As for `account`.

    Raises:
        LockNotHeld: If the transaction does not hold the flow's lock.
    """
    doomed = _doomed(session, subject)
    found = _account(session, doomed, team)
    take(session, doomed, by=by)
    return found


def take(session: Session, doomed: Doomed, *, by: str) -> None:
    """Delete rows, and let what refers to them say so; as `delete`."""
    locks.expect(session, flow.FLOW)
    for checkpoint_id in sorted(doomed.checkpoints):  # a request may be about to note a part of an upload
        locks.take(session, checkpoints.upload_lock(checkpoint_id))
    # Jobs come first. A worker that writes locks its job, and then the rows that hang on the evaluation.
    for evaluation in deletions.live_evaluations(session, doomed):
        flow.cancel(session, evaluation, most=sys.maxsize)
    jobs.cancel(session, deletions.jobs_of(session, doomed))
    for kind, origins in deletions.origins(session, doomed).items():
        tombstones.add(session, kind, origins, by=by)
    deletions.end_shares(session, doomed)
    deletions.end_aliases(session, doomed)
    deletions.hand_over(session, doomed)
    deletions.forget_features(session, doomed)
    deletions.forget_rows(session, doomed)


def _account(session: Session, doomed: Doomed, team: str | None) -> Account:
    return Account(
        goes=deletions.going(session, doomed, team=team), stays=deletions.staying(session, doomed, team=team)
    )


def _doomed(session: Session, subject: Subject) -> Doomed:
    if isinstance(subject, Evaluation):
        return deletions.of_evaluation(subject)
    if isinstance(subject, Checkpoint):
        return deletions.of_checkpoint(session, subject)
    if isinstance(subject, Model):
        return deletions.of_model(session, subject)
    return deletions.of_dataset(session, subject)
