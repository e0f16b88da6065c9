"""Aliases of checkpoints. Rows are only added: the newest row of an alias says where it points."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from records.models import AliasMove, Checkpoint, Model
from records.repositories.visibility import Visibility

Pointing = tuple[AliasMove, Checkpoint]  # an alias's newest move, and the checkpoint that it points at


class Moved(NamedTuple):
    """A move of an alias as a reader sees it: a checkpoint that the reader does not see is None."""

    move: AliasMove
    checkpoint_id: UUID | None


def lost(session: Session, team: str, name: str, visible: Visibility) -> datetime | None:
    """When the checkpoint was deleted at which an alias pointed last.

    None if that is not why the alias ended, or if the reader did not see this checkpoint.
    """
    found = session.scalars(_moves(team, name).limit(1)).one_or_none()
    if found is None or (found.deleted_private and not visible.is_of(team)):
        return None
    return found.deleted_at


def current(session: Session, team: str, name: str, visible: Visibility) -> AliasMove | None:
    """The newest move of an alias.

    None if there is no such alias, if it was removed, or if the reader does not see where it points.
    """
    newest = next(iter(history(session, team, name, visible, 1)), None)
    return None if newest is None or newest.checkpoint_id is None else newest.move


def history(session: Session, team: str, name: str, visible: Visibility, limit: int) -> list[Moved]:
    """The moves of an alias as a reader sees them, the newest first.

    To other teams, an alias that points at a hidden checkpoint looks as if it had been removed. An alias that
    never pointed at anything else looks as if it had never been.
    """
    everything = visible.is_of(team)
    query = _moves(team, name).outerjoin(Checkpoint, Checkpoint.id == AliasMove.checkpoint_id)
    query = query.outerjoin(Model, Model.id == Checkpoint.model_id)
    rows = session.execute(query.add_columns(visible.models()).limit(limit)).all()
    found: list[Moved] = []
    for move, is_seen in reversed(rows):
        target = move.checkpoint_id if is_seen else None
        if everything or target is not None or (found and found[-1].checkpoint_id is not None):
            found.append(Moved(move, target))
    return found[::-1]


def page(
    session: Session,
    *,
    among: ColumnElement[bool],
    team: str | None = None,
    limit: int,
    offset: int = 0,
) -> tuple[list[Pointing], int]:
    """Aliases that point at one of these checkpoints, by team and name, and how many there are.

    Args:
        session: Of the caller.
        among: A condition on `Checkpoint` and `Model`.
        team: Only of this team.
        limit: Rows of a page.
        offset: Rows before it.
    """
    query = _pointing().where(among)
    if team is not None:
        query = query.where(AliasMove.team == team)
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    ordered = query.order_by(AliasMove.team, AliasMove.name).limit(limit).offset(offset)
    return [(move, checkpoint) for move, checkpoint in session.execute(ordered)], total


def of_checkpoints(session: Session, checkpoint_ids: Sequence[UUID]) -> dict[UUID, list[str]]:
    """The names of the aliases that point at these checkpoints."""
    query = _pointing().where(AliasMove.checkpoint_id.in_(checkpoint_ids)).order_by(AliasMove.name)
    found: dict[UUID, list[str]] = {}
    for move, checkpoint in session.execute(query):
        found.setdefault(checkpoint.id, []).append(move.name)
    return found


def count(session: Session, team: str) -> int:
    """How many aliases of a team point at a checkpoint."""
    query = _pointing().where(AliasMove.team == team)
    return session.scalar(select(func.count()).select_from(query.subquery())) or 0


def move(session: Session, team: str, name: str, checkpoint_id: UUID | None, *, by: str) -> AliasMove:
    """Point an alias at a checkpoint; None removes the alias. Where it pointed before is kept."""
    found = AliasMove(team=team, name=name, checkpoint_id=checkpoint_id, by=by)
    session.add(found)
    session.flush()
    return found


def _moves(team: str, name: str) -> Select[AliasMove]:
    of_it = select(AliasMove).where(AliasMove.team == team, AliasMove.name == name)
    return of_it.order_by(AliasMove.created_at.desc(), AliasMove.id)


def _pointing() -> Select[AliasMove, Checkpoint]:
    """The newest move of each alias, with the checkpoint that it points at."""
    later = aliased(AliasMove)
    same_time = and_(later.created_at == AliasMove.created_at, later.id < AliasMove.id)
    # Not a window over all moves: a page asks for the aliases of a few checkpoints.
    moved_on = exists().where(
        later.team == AliasMove.team,
        later.name == AliasMove.name,
        or_(later.created_at > AliasMove.created_at, same_time),
    )
    return (
        select(AliasMove, Checkpoint)
        .join(Checkpoint, Checkpoint.id == AliasMove.checkpoint_id)
        .join(Model, Model.id == Checkpoint.model_id)
        .where(~moved_on)
    )
