"""Models: who sees them, how many checkpoints and evaluations each has, and its newest checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import Session, aliased

from records.db import NOW
from records.models import Checkpoint, Evaluation, Model, ModelTag
from records.repositories import names


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A model, with the numbers of its checkpoints and evaluations.

    Attributes:
        model: The model.
        newest: Its newest checkpoint that the reader may see.
        num_checkpoints: Checkpoints that the reader may see.
        num_evaluations: Evaluations of its checkpoints, in any state.
        evaluated_at: When the last of these evaluations finished; None if none has.
        tags: Its tags.
        former_names: Names that it had before, the newest first.
    """

    model: Model
    newest: Checkpoint
    num_checkpoints: int
    num_evaluations: int
    evaluated_at: datetime | None
    tags: list[str]
    former_names: list[str]


def page(
    session: Session,
    *,
    among: ColumnElement[bool],
    name: str | None = None,
    team: str | None = None,
    tag: str | None = None,
    limit: int,
    offset: int = 0,
) -> tuple[list[Counted], int]:
    """Models with a checkpoint that the reader may see, newest first, and how many there are.

    Args:
        session: Of the caller.
        among: Checkpoints that the reader may see (`Visibility.uploads`).
        name: Only models whose name contains this or contained it, in any case of letters.
        team: Only of this team.
        tag: Only with this tag.
        limit: Rows of a page.
        offset: Rows before it.
    """
    ranked = (
        select(
            Checkpoint.id,
            func.count().over(partition_by=Checkpoint.model_id).label("number"),
            func.row_number()
            .over(partition_by=Checkpoint.model_id, order_by=(Checkpoint.created_at.desc(), Checkpoint.id))
            .label("position"),
        )
        .join(Checkpoint.model)
        .where(among, *_wanted(name, team, tag))
        .subquery()
    )
    newest = aliased(Checkpoint)
    query = (
        select(newest, ranked.c.number).join(ranked, ranked.c.id == newest.id).where(ranked.c.position == 1)
    )
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    ordered = query.order_by(newest.created_at.desc(), newest.id).limit(limit).offset(offset)
    rows = session.execute(ordered).all()
    model_ids = [found.model_id for found, _ in rows]
    evaluated = _evaluated(session, model_ids)
    tags, former = names.tags(session, model_ids), names.former(session, model_ids)
    return [_counted(found, number, evaluated, tags, former) for found, number in rows], total


def used_tags(session: Session, among: ColumnElement[bool], limit: int) -> list[tuple[str, int]]:
    """The tags of models with one of these checkpoints, the most used first, with the number of models."""
    number = func.count(ModelTag.model_id.distinct())
    query = (
        select(ModelTag.tag, number)
        .join(Model, Model.id == ModelTag.model_id)
        .join(Checkpoint, Checkpoint.model_id == Model.id)
        .where(ModelTag.removed_at.is_(None), among)
        .group_by(ModelTag.tag)
        .order_by(number.desc(), ModelTag.tag)
    )
    return [(tag, count) for tag, count in session.execute(query.limit(limit))]


def set_private(session: Session, model: Model, private: bool) -> None:
    """Make a model private or public. The caller holds the flow's lock, so the times of changes ascend."""
    model.private, model.privacy_changed_at = private, cast(Any, NOW)
    session.flush()


def has_checkpoint(session: Session, model: Model) -> bool:
    """Whether a model has a checkpoint, in any state."""
    return bool(session.scalar(select(exists().where(Checkpoint.model_id == model.id))))


def _wanted(name: str | None, team: str | None, tag: str | None) -> list[ColumnElement[bool]]:
    found = [] if name is None else [names.is_called_like(name)]
    found += [] if team is None else [Model.team == team]
    return found if tag is None else [*found, names.has_tag(tag)]


def _evaluated(session: Session, model_ids: list[Any]) -> dict[UUID, tuple[int, datetime | None]]:
    """By model, the number of its evaluations, and when the last of them finished."""
    query = (
        select(Checkpoint.model_id, func.count(), func.max(Evaluation.finished_at))
        .join(Evaluation, Evaluation.checkpoint_id == Checkpoint.id)
        .where(Checkpoint.model_id.in_(model_ids), Evaluation.is_control.is_(False))
        .group_by(Checkpoint.model_id)
    )
    return {model_id: (number, last) for model_id, number, last in session.execute(query) if model_id}


def _counted(
    newest: Checkpoint,
    num_checkpoints: int,
    evaluated: dict[UUID, tuple[int, datetime | None]],
    tags: dict[UUID, list[str]],
    former: dict[UUID, list[str]],
) -> Counted:
    assert newest.model is not None
    num_evaluations, evaluated_at = evaluated.get(newest.model.id, (0, None))
    return Counted(
        model=newest.model,
        newest=newest,
        num_checkpoints=num_checkpoints,
        num_evaluations=num_evaluations,
        evaluated_at=evaluated_at,
        tags=tags.get(newest.model.id, []),
        former_names=former.get(newest.model.id, []),
    )
