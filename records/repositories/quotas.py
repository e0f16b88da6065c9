"""What a team uses of the installation, and the limits that an administrator gave it."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Subquery, func, select, union_all
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from records.db import NOW
from records.models import ENDED, Checkpoint, Deleted, Evaluation, Model, TeamQuota, Tombstone

DAY = timedelta(days=1)


def of_team(session: Session, team: str) -> TeamQuota | None:
    """The limits of a team's own; None if it has none."""
    return session.get(TeamQuota, team)


def put(session: Session, team: str, *, by: str, **limits: int | None) -> None:
    """Give a team limits of its own: the fields of `TeamQuota`. Those that are left out stay."""
    values = {**limits, "by": by, "set_at": NOW}
    wanted = insert(TeamQuota).values(team=team, **values)
    session.execute(wanted.on_conflict_do_update(index_elements=[TeamQuota.team], set_=values))
    session.expire_all()


def num_bytes(session: Session, team: str) -> int:
    """Bytes of a team's files. Equal files count once. A declared file counts before its bytes are there."""
    files = (
        select(func.max(Checkpoint.size_bytes).label("size_bytes"))
        .join(Checkpoint.model)
        .where(Model.team == team)
        .group_by(Checkpoint.sha256)
        .subquery()
    )
    return int(session.scalar(select(func.sum(files.c.size_bytes))) or 0)


def counted_bytes(
    session: Session, team: str, *, sha256: str | None = None, size_bytes: int | None = None
) -> int | None:
    """How many bytes already count for a file; None if a team has no checkpoint of it.

    If the hash is not known, a file of this size may be the same.
    """
    is_it = Checkpoint.size_bytes == size_bytes if sha256 is None else Checkpoint.sha256 == sha256
    query = select(func.max(Checkpoint.size_bytes)).join(Checkpoint.model).where(Model.team == team, is_it)
    return session.scalar(query)


def uploads(session: Session, team: str) -> int:
    """How many checkpoints a team declared or uploaded within 24 hours, also if they were deleted since."""
    made = _uploads(team)
    return session.scalar(select(func.count()).where(made.c.at > NOW - DAY)) or 0


def next_upload_s(session: Session, team: str, allowed: int) -> float:
    """Seconds until a team that may upload `allowed` checkpoints a day may upload the next one."""
    made = _uploads(team)
    newest_first = select(func.extract("epoch", made.c.at + DAY - NOW)).order_by(made.c.at.desc())
    return max(0.0, float(session.scalar(newest_first.offset(allowed - 1).limit(1)) or 0.0))


def _uploads(team: str) -> Subquery:
    """When a team declared or uploaded its checkpoints."""
    live = select(Checkpoint.created_at.label("at")).join(Checkpoint.model).where(Model.team == team)
    deleted = select(Tombstone.made_at).where(Tombstone.kind == Deleted.CHECKPOINT, Tombstone.team == team)
    return union_all(live, deleted).subquery()


def under_way(session: Session, team: str, *, least: int = 0) -> tuple[int, datetime | None]:
    """Count a team's evaluations that have not ended, and say when the oldest was asked for.

    Controls are left out, and evaluations of a priority below `least`.
    """
    query = select(func.count(), func.min(Evaluation.asked_at)).where(
        Evaluation.team == team,
        Evaluation.state.not_in(ENDED),
        ~Evaluation.is_control,
        Evaluation.priority >= least,
    )
    number, oldest = session.execute(query).one()
    return number, oldest
