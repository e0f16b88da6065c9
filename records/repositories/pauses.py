"""Queues and kinds of job of which workers claim nothing, until an administrator resumes them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from records.db import NOW
from records.models import Job, Pause
from records.repositories import locks

CLAIMS = "vcpbench.claims"


def lock(session: Session) -> None:
    """Wait until no claim is under way, and let none begin until the transaction ends.

    So nothing is claimed any more once a pause is committed. A claim takes milliseconds.
    """
    locks.take(session, CLAIMS)


def expect_lock(session: Session) -> None:
    """Make sure that this transaction called `lock`.

    Raises:
        LockNotHeld: If it did not.
    """
    locks.expect(session, CLAIMS)


def lock_for_claim(session: Session) -> None:
    """Keep pauses away until the transaction of this claim ends. Many workers may claim at once."""
    locks.take_shared(session, CLAIMS)


def every(session: Session) -> Sequence[Pause]:
    """All pauses, the oldest first."""
    return session.scalars(select(Pause).order_by(Pause.created_at, Pause.what)).all()


def holding(session: Session, job: Job) -> Pause | None:
    """The pause of a job's queue or kind; None if neither is paused."""
    query = select(Pause).where(Pause.what.in_((job.queue, job.kind.value))).order_by(Pause.created_at)
    return session.scalars(query.limit(1)).one_or_none()


def pause(session: Session, what: str, *, why: str, by: str) -> Pause:
    """Pause a queue or a kind of job. If it is paused already, note the newer reason."""
    expect_lock(session)
    wanted = insert(Pause).values(what=what, why=why, by=by)
    newer = {"why": why, "by": by, "created_at": NOW}
    stored = wanted.on_conflict_do_update(index_elements=[Pause.what], set_=newer)
    return session.scalars(stored.returning(Pause), execution_options={"populate_existing": True}).one()


def resume(session: Session, what: str) -> Pause | None:
    """Let workers claim again, and return the pause that was; None if there was none."""
    gone = delete(Pause).where(Pause.what == what).returning(Pause)
    return session.scalars(gone).one_or_none()
