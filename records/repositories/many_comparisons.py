"""Comparisons of many evaluations: one for a set of evaluations, a baseline and a version of the rules.

The differences from the baseline are comparisons of two, kept in rows of their own. So a page that compares
the baseline with one of the others finds them, and a second set does not compare them again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, delete, insert, or_, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from records.db import NOW
from records.models import Comparison, ComparisonState, Job, JobKind, comparison_members
from records.repositories import jobs
from records.repositories.comparisons import failed_long_ago


def get(session: Session, comparison_id: UUID) -> Comparison | None:
    """Find a comparison of many by its id."""
    query = select(Comparison).where(Comparison.id == comparison_id, Comparison.members_key.is_not(None))
    return session.scalars(query).one_or_none()


def find(session: Session, baseline_id: UUID, members: Sequence[UUID], *, version: str) -> Comparison | None:
    """Find the comparison of these evaluations with this baseline, unless it failed a while ago."""
    current = select(Comparison).where(*_of(baseline_id, members), Comparison.version == version)
    return session.scalars(current.where(~failed_long_ago())).one_or_none()


def make(
    session: Session,
    baseline_id: UUID,
    members: Sequence[UUID],
    *,
    version: str,
    team: str | None,
    total: int,
) -> Comparison:
    """Make the comparison of many evaluations, and queue a job. Other rules' comparisons are deleted.

    The caller holds the `live_lock` of the team. Two teams may still ask at once: both get one row.

    Args:
        session: Of the caller.
        baseline_id: The evaluation that the others are compared with.
        members: All evaluations, the baseline among them.
        version: Version of the rules.
        team: The team that asks; workers take turns between teams. None is a reader without a team.
        total: Number of pairs.
    """
    mine = _of(baseline_id, members)
    old = or_(Comparison.version != version, failed_long_ago())
    session.execute(delete(Comparison).where(*mine, old))
    values = {
        "id": uuid4(),
        "first_id": baseline_id,
        "members_key": key(members),
        "version": version,
        "state": ComparisonState.WAITING,
    }
    session.execute(postgresql.insert(Comparison).values(**values).on_conflict_do_nothing())
    made = session.scalars(select(Comparison).where(*mine, Comparison.version == version)).one()
    if made.id == values["id"]:
        rows = [{"comparison_id": made.id, "evaluation_id": member} for member in members]
        session.execute(insert(comparison_members), rows)
    jobs.enqueue(session, JobKind.COMPARE, team=team, comparison_id=made.id, total=total, priority=jobs.LOW)
    return made


def key(members: Sequence[UUID]) -> str:
    """Hash of a set of evaluations; their order does not matter."""
    return hashlib.sha256(" ".join(sorted(map(str, members))).encode()).hexdigest()


def with_baseline(
    session: Session, baseline_id: UUID, others: Sequence[UUID], *, version: str
) -> dict[UUID, dict[str, Any]]:
    """Contents of the finished comparisons of the baseline with others, by the other evaluation."""
    query = select(Comparison.second_id, Comparison.content).where(
        Comparison.first_id == baseline_id,
        Comparison.second_id.in_(others),
        Comparison.version == version,
        Comparison.state == ComparisonState.DONE,
    )
    return {
        second_id: content
        for second_id, content in session.execute(query)
        if second_id is not None and content is not None
    }


def with_same_members(session: Session, comparison: Comparison) -> dict[str, Any] | None:
    """Content of a finished comparison of the same evaluations with another baseline."""
    query = select(Comparison.content).where(
        Comparison.members_key == comparison.members_key,
        Comparison.version == comparison.version,
        Comparison.state == ComparisonState.DONE,
    )
    return session.scalars(query.limit(1)).one_or_none()


def keep_pairs(
    session: Session, baseline_id: UUID, contents: Mapping[UUID, dict[str, Any]], *, version: str
) -> None:
    """Keep comparisons of two that were made on the way. One that is kept already stays.

    Jobs that were to make them end first. So this locks jobs before comparisons, as the end of a job does.
    """
    done = {"state": ComparisonState.DONE, "finished_at": NOW, "reason": None}
    pairs = Comparison.first_id == baseline_id, Comparison.second_id.in_(contents)
    session.execute(delete(Comparison).where(*pairs, Comparison.version != version))
    waiting = select(Comparison.id).where(*pairs, Comparison.state == ComparisonState.WAITING)
    jobs.cancel(session, session.scalars(select(Job.id).where(Job.comparison_id.in_(waiting))).all())
    for second_id, content in contents.items():
        row = postgresql.insert(Comparison).values(
            id=uuid4(), first_id=baseline_id, second_id=second_id, version=version, content=content, **done
        )
        session.execute(
            row.on_conflict_do_update(
                index_elements=["first_id", "second_id", "version"],
                set_={"content": row.excluded.content, **done},
                where=Comparison.state != ComparisonState.DONE,
            )
        )


def forget(session: Session, comparison: Comparison) -> None:
    """Delete a comparison of many with its job. The worker that makes it stops at its next renewal."""
    session.execute(delete(Comparison).where(Comparison.id == comparison.id))


def _of(baseline_id: UUID, members: Sequence[UUID]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return Comparison.first_id == baseline_id, Comparison.members_key == key(members)
