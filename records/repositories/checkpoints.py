"""Models and checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, String, and_, column, func, or_, select, tuple_, values
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, selectinload

from records.models import Checkpoint, CheckpointState, Model, Origin

USABLE = (CheckpointState.INGESTING, CheckpointState.READY)


def get(session: Session, checkpoint_id: UUID) -> Checkpoint | None:
    """A checkpoint that somebody uploaded; controls are not found."""
    query = select(Checkpoint).where(Checkpoint.id == checkpoint_id, Checkpoint.origin == Origin.UPLOAD)
    return session.scalars(query).one_or_none()


def seen(team: str | None, *, by_admin: bool = False) -> ColumnElement[bool]:
    """Which uploads a team may see: those that are ready, its own in any state, and all for an administrator.

    The statement joins `Model`.
    """
    upload = Checkpoint.origin == Origin.UPLOAD
    if by_admin:
        return upload
    return and_(upload, or_(Checkpoint.state == CheckpointState.READY, Model.team == team))


def owned(team: str) -> ColumnElement[bool]:
    """Which uploads are a team's own. The statement joins `Model`."""
    return and_(Checkpoint.origin == Origin.UPLOAD, Model.team == team)


def between(
    session: Session, low: UUID, high: UUID, among: ColumnElement[bool], limit: int
) -> Sequence[Checkpoint]:
    """Uploads whose ids lie in this range, in the order of their ids."""
    query = select(Checkpoint).join(Checkpoint.model).where(Checkpoint.id.between(low, high), among)
    return session.scalars(query.order_by(Checkpoint.id).limit(limit)).all()


def upload_lock(checkpoint_id: UUID) -> str:
    """Name of the lock of whoever changes a declared checkpoint's parts."""
    return f"vcpbench.upload.{checkpoint_id}"


def model_of(session: Session, team: str, name: str) -> Model:
    """A team's model of that name; made if it is new."""
    session.execute(insert(Model).values(team=team, name=name).on_conflict_do_nothing())
    return session.scalars(select(Model).where(Model.team == team, Model.name == name)).one()


def same(
    session: Session, model: Model, sha256: str, *, prefix: str | None = None, input_spec: str | None = None
) -> Checkpoint | None:
    """The model's checkpoint with these bytes and declarations, unless it was rejected."""
    query = select(Checkpoint).where(
        Checkpoint.model_id == model.id,
        Checkpoint.sha256 == sha256,
        Checkpoint.prefix.is_not_distinct_from(prefix),
        Checkpoint.input_spec.is_not_distinct_from(input_spec),
        Checkpoint.state != CheckpointState.REJECTED,
    )
    return session.scalars(query.order_by(Checkpoint.created_at)).first()


def latest(
    session: Session, names: Sequence[tuple[str, str]], among: ColumnElement[bool]
) -> Checkpoint | None:
    """The newest of these uploads whose bytes are there and were not rejected.

    Args:
        session: Of the caller.
        names: Models, each given as team and name. The first that has such an upload is meant.
        among: Which uploads.
    """
    wanted = values(column("team", String), column("name", String), column("order", Integer), name="wanted")
    rows = wanted.data([(team, name, order) for order, (team, name) in enumerate(names)])
    query = (
        select(Checkpoint)
        .join(Checkpoint.model)
        .join(rows, and_(rows.c.team == Model.team, rows.c.name == Model.name))
        .where(Checkpoint.state.in_(USABLE), among)
        .order_by(rows.c.order, Checkpoint.created_at.desc(), Checkpoint.id)
    )
    return session.scalars(query.limit(1)).one_or_none() if names else None


def teams_with(session: Session, model: str, among: ColumnElement[bool]) -> Sequence[str]:
    """Teams that have usable ones of these uploads under a model of that name."""
    query = (
        select(Model.team)
        .join(Checkpoint, Checkpoint.model_id == Model.id)
        .where(Model.name == model, Checkpoint.state.in_(USABLE), among)
    )
    return session.scalars(query.distinct().order_by(Model.team)).all()


def models_among(
    session: Session, names: Sequence[tuple[str, str]], among: ColumnElement[bool]
) -> set[tuple[str, str]]:
    """Those of these models, each given as team and name, that have one of these uploads."""
    query = (
        select(Model.team, Model.name)
        .join(Checkpoint, Checkpoint.model_id == Model.id)
        .where(tuple_(Model.team, Model.name).in_(names), among)
    )
    return {(team, name) for team, name in session.execute(query.distinct())}


def page(
    session: Session,
    *,
    model: str | None,
    team: str | None,
    limit: int,
    offset: int,
    seen_by: str | None,
    by_admin: bool = False,
) -> tuple[Sequence[Checkpoint], int]:
    """Checkpoints, newest first, and how many there are.

    Args:
        session: Of the caller.
        model: Only of this model.
        team: Only of this team.
        limit: Rows of a page.
        offset: Rows before it.
        seen_by: The team that looks: what is not ready, or was rejected, is shown to its owners only.
        by_admin: Then all are shown.
    """
    query = select(Checkpoint).join(Checkpoint.model).where(seen(seen_by, by_admin=by_admin))
    if model is not None:
        query = query.where(Model.name == model)
    if team is not None:
        query = query.where(Model.team == team)
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    ordered = query.order_by(Checkpoint.created_at.desc(), Checkpoint.id)
    found = ordered.options(selectinload(Checkpoint.parts)).limit(limit).offset(offset)
    return session.scalars(found).all(), total
