"""Names of models: those of now, those of before, and tags.

A former name still leads to its model. No two models of a team share a name, former ones included. Whoever
gives a name holds the flow's lock, because no constraint of the database spans both tables.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Subquery, delete, exists, or_, select, union_all, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from records.db import NOW
from records.models import FormerName, Model, ModelTag


def known_as() -> Subquery:
    """Every name of every model, former ones included, as rows of `model_id`, `team` and `name`."""
    now = select(Model.id.label("model_id"), Model.team, Model.name)
    before = select(FormerName.model_id, FormerName.team, FormerName.name)
    return union_all(now, before).subquery("known_as")


def is_called(name: str) -> ColumnElement[bool]:
    """The models that have this name or had it. The statement joins `Model`."""
    return or_(Model.name == name, _was(FormerName.name == name))


def is_called_like(part: str) -> ColumnElement[bool]:
    """The models whose name contains this, or contained it, in any case of letters."""
    was = _was(FormerName.name.icontains(part, autoescape=True))
    return or_(Model.name.icontains(part, autoescape=True), was)


def _was(named: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(FormerName.model_id == Model.id, named)


def has_tag(tag: str) -> ColumnElement[bool]:
    """The models that have a tag. The statement joins `Model`."""
    return exists().where(ModelTag.model_id == Model.id, ModelTag.tag == tag, ModelTag.removed_at.is_(None))


def owner(session: Session, team: str, name: str) -> Model | None:
    """The team's model that has this name, or had it."""
    return session.scalars(select(Model).where(Model.team == team, is_called(name))).one_or_none()


def former(session: Session, model_ids: Collection[UUID]) -> dict[UUID, list[str]]:
    """The former names of these models, the newest first."""
    query = (
        select(FormerName.model_id, FormerName.name)
        .where(FormerName.model_id.in_(model_ids))
        .order_by(FormerName.created_at.desc(), FormerName.name)
    )
    return _grouped(session, query)


def rename(session: Session, model: Model, name: str, *, by: str) -> None:
    """Give a model a name that is free, or was its own. Its old name leads to it from now on."""
    own = FormerName.team == model.team, FormerName.model_id == model.id
    session.execute(delete(FormerName).where(*own, FormerName.name == name))
    session.add(FormerName(team=model.team, name=model.name, model_id=model.id, by=by))
    model.name = name
    session.flush()


def tags(session: Session, model_ids: Collection[UUID]) -> dict[UUID, list[str]]:
    """The tags of these models, in alphabetical order."""
    query = (
        select(ModelTag.model_id, ModelTag.tag)
        .where(ModelTag.model_id.in_(model_ids), ModelTag.removed_at.is_(None))
        .order_by(ModelTag.tag)
    )
    return _grouped(session, query)


def add_tags(session: Session, model: Model, wanted: Collection[str], *, by: str) -> None:
    """Give a model tags. Those that it has already stay as they are."""
    for tag in wanted:
        values = {"model_id": model.id, "tag": tag, "by": by}
        session.execute(insert(ModelTag).values(**values).on_conflict_do_nothing())


def remove_tags(session: Session, model: Model, wanted: Collection[str], *, by: str) -> None:
    """Take tags from a model, and note who did."""
    live = ModelTag.model_id == model.id, ModelTag.removed_at.is_(None), ModelTag.tag.in_(wanted)
    session.execute(update(ModelTag).where(*live).values(removed_at=NOW, removed_by=by))


def _grouped(session: Session, query: Select[UUID, str]) -> dict[UUID, list[str]]:
    found: dict[UUID, list[str]] = {}
    for model_id, text in session.execute(query):
        found.setdefault(model_id, []).append(text)
    return found
