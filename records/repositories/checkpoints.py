"""Models and checkpoints."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    String,
    Subquery,
    TableValuedAlias,
    and_,
    delete,
    exists,
    func,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, selectinload

from records.db import NOW
from records.models import Checkpoint, CheckpointState, Model, Origin, UploadPart
from records.repositories import locks, names
from vcp_core.catalog.graphs import GraphFacts
from vcp_core.catalog.readings import version_of

USABLE = (CheckpointState.INGESTING, CheckpointState.READY)


def get(session: Session, checkpoint_id: UUID) -> Checkpoint | None:
    """Find an uploaded checkpoint. Controls are not found."""
    query = select(Checkpoint).where(Checkpoint.id == checkpoint_id, Checkpoint.origin == Origin.UPLOAD)
    return session.scalars(query).one_or_none()


def owned(team: str) -> ColumnElement[bool]:
    """The uploads of a team. The statement must join `Model`."""
    return and_(Checkpoint.origin == Origin.UPLOAD, Model.team == team)


def between(
    session: Session, low: UUID, high: UUID, among: ColumnElement[bool], limit: int
) -> Sequence[Checkpoint]:
    """Uploads whose ids lie in this range, in the order of their ids."""
    query = select(Checkpoint).join(Checkpoint.model).where(Checkpoint.id.between(low, high), among)
    return session.scalars(query.order_by(Checkpoint.id).limit(limit)).all()


def upload_lock(checkpoint_id: UUID) -> str:
    """Name of the lock under which requests change the parts of a declared checkpoint."""
    return f"vcpbench.upload.{checkpoint_id}"


def model_lock(model_id: UUID) -> str:
    """Name of the lock under which requests find or make a checkpoint of a model."""
    return f"vcpbench.model.{model_id}"


def unfinished(session: Session, after_s: float) -> Sequence[UUID]:
    """Ids of the declared checkpoints for which no bytes arrived within `after_s` seconds."""
    return session.scalars(select(Checkpoint.id).where(_is_unfinished(after_s))).all()


def forget_unfinished(session: Session, checkpoint_id: UUID, after_s: float) -> None:
    """Delete a declared checkpoint, unless a part arrived meanwhile. The caller holds its `upload_lock`."""
    locks.expect(session, upload_lock(checkpoint_id))
    session.execute(delete(Checkpoint).where(Checkpoint.id == checkpoint_id, _is_unfinished(after_s)))


def _is_unfinished(after_s: float) -> ColumnElement[bool]:
    since = NOW - timedelta(seconds=after_s)
    came = exists().where(UploadPart.checkpoint_id == Checkpoint.id, UploadPart.created_at >= since)
    return and_(Checkpoint.state == CheckpointState.DECLARED, Checkpoint.created_at < since, ~came)


def declared(session: Session, team: str) -> tuple[int, datetime | None]:
    """Count a team's declared checkpoints, and say when the oldest was declared."""
    query = (
        select(func.count(), func.min(Checkpoint.created_at))
        .join(Checkpoint.model)
        .where(Model.team == team, Checkpoint.state == CheckpointState.DECLARED)
    )
    number, oldest = session.execute(query).one()
    return number, oldest


def controls(session: Session, control_keys: Sequence[str]) -> dict[str, Checkpoint]:
    """Find the controls with these keys, by their keys: random weights or pixel baselines."""
    found = session.scalars(select(Checkpoint).where(Checkpoint.control_key.in_(control_keys)))
    return {str(one.control_key): one for one in found}


def weights_like(session: Session, graph: GraphFacts) -> str | None:
    """The weights of a ready upload with a graph's program and with the numbers that its controls keep."""
    query = select(Checkpoint.weights_sha256).where(
        Checkpoint.origin == Origin.UPLOAD,
        Checkpoint.state == CheckpointState.READY,
        Checkpoint.backbone == graph.name,
        Checkpoint.graph["structure"].as_string() == graph.structure,
        Checkpoint.graph["kept"].as_string() == graph.kept,
    )
    return session.scalars(query.order_by(Checkpoint.created_at, Checkpoint.id)).first()


def scheme_versions(session: Session, checkpoint_ids: Collection[UUID]) -> dict[UUID, int]:
    """The versions that the key schemes of these checkpoints have now."""
    query = select(Checkpoint.id, Checkpoint.backbone, Checkpoint.scheme)
    found = session.execute(query.where(Checkpoint.id.in_(checkpoint_ids)))
    return {one: version_of(backbone, scheme) for one, backbone, scheme in found}


def model_of(session: Session, team: str, name: str) -> Model:
    """Find a team's model that has this name or had it, or make one. The caller holds the flow's lock."""
    found = names.owner(session, team, name)
    if found is not None:
        return found
    session.execute(insert(Model).values(team=team, name=name).on_conflict_do_nothing())
    return session.scalars(select(Model).where(Model.team == team, Model.name == name)).one()


def same(
    session: Session,
    model: Model,
    sha256: str,
    *,
    prefix: str | None = None,
    variant: str | None = None,
    input_spec: str | None = None,
) -> Checkpoint | None:
    """The model's checkpoint with these bytes and declarations, unless it was rejected.

    The caller holds the `model_lock`, because it makes the checkpoint if none is found.
    """
    locks.expect(session, model_lock(model.id))
    query = select(Checkpoint).where(
        Checkpoint.model_id == model.id,
        Checkpoint.sha256 == sha256,
        Checkpoint.prefix.is_not_distinct_from(prefix),
        Checkpoint.variant.is_not_distinct_from(variant),
        Checkpoint.input_spec.is_not_distinct_from(input_spec),
        Checkpoint.state != CheckpointState.REJECTED,
    )
    return session.scalars(query.order_by(Checkpoint.created_at)).first()


def ready_with(
    session: Session, hashes: Collection[str], among: ColumnElement[bool], limit: int
) -> Sequence[Checkpoint]:
    """Ready ones of these uploads whose files have one of these SHA-256, the oldest first."""
    query = select(Checkpoint).join(Checkpoint.model)
    query = query.where(Checkpoint.sha256.in_(hashes), Checkpoint.state == CheckpointState.READY, among)
    return session.scalars(query.order_by(Checkpoint.created_at, Checkpoint.id).limit(limit)).all()


def latest(
    session: Session, called: Sequence[tuple[str, str]], among: ColumnElement[bool]
) -> Checkpoint | None:
    """The newest of these uploads that has all its bytes and was not rejected.

    Args:
        session: Of the caller.
        called: Models, each as team and name, in order of preference. The first with such an upload wins. A
            former name means its model.
        among: Which uploads.
    """
    known, wanted = names.known_as(), _named(called)
    query = (
        select(Checkpoint)
        .join(Checkpoint.model)
        .join(known, known.c.model_id == Model.id)
        .join(wanted, _is(wanted, known))
        .where(Checkpoint.state.in_(USABLE), among)
        .order_by(wanted.c.position, Checkpoint.created_at.desc(), Checkpoint.id)
    )
    return session.scalars(query.limit(1)).one_or_none() if called else None


def teams_with(session: Session, model: str, among: ColumnElement[bool]) -> Sequence[str]:
    """Teams that have usable ones of these uploads under a model of that name."""
    query = (
        select(Model.team)
        .join(Checkpoint, Checkpoint.model_id == Model.id)
        .where(names.is_called(model), Checkpoint.state.in_(USABLE), among)
    )
    return session.scalars(query.distinct().order_by(Model.team)).all()


def first_model(
    session: Session, called: Sequence[tuple[str, str]], among: ColumnElement[bool]
) -> Model | None:
    """The first of these models that has one of these uploads.

    Args:
        session: Of the caller.
        called: Models, each as team and name. A former name means its model.
        among: Which uploads.
    """
    known, wanted = names.known_as(), _named(called)
    query = (
        select(Model)
        .join(Checkpoint, Checkpoint.model_id == Model.id)
        .join(known, known.c.model_id == Model.id)
        .join(wanted, _is(wanted, known))
        .where(among)
        .order_by(wanted.c.position)
    )
    return session.scalars(query.limit(1)).one_or_none()


def _named(called: Sequence[tuple[str, str]]) -> TableValuedAlias:
    """The names as rows of `team`, `name` and `position`.

    They are two arrays, so the statement is the same for any number of names. With a parameter for each name,
    SQLAlchemy and PostgreSQL would read a new statement for each number of slashes in an address.
    """
    text = ARRAY(String)
    teams, models = (literal([name[side] for name in called], text) for side in (0, 1))
    rows = func.unnest(teams, models).table_valued("team", "name", with_ordinality="position", name="wanted")
    return rows.render_derived()


def _is(wanted: TableValuedAlias, known: Subquery) -> ColumnElement[bool]:
    return and_(wanted.c.team == known.c.team, wanted.c.name == known.c.name)


def page(
    session: Session,
    *,
    among: ColumnElement[bool],
    model: str | None = None,
    team: str | None = None,
    limit: int,
    offset: int = 0,
) -> tuple[Sequence[Checkpoint], int]:
    """Checkpoints, newest first, and how many there are.

    Args:
        session: Of the caller.
        among: Which uploads.
        model: Only of the model that has this name or had it.
        team: Only of this team.
        limit: Rows of a page.
        offset: Rows before it.
    """
    query = select(Checkpoint).join(Checkpoint.model).where(among)
    if model is not None:
        query = query.where(names.is_called(model))
    if team is not None:
        query = query.where(Model.team == team)
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    ordered = query.order_by(Checkpoint.created_at.desc(), Checkpoint.id)
    found = ordered.options(selectinload(Checkpoint.parts)).limit(limit).offset(offset)
    return session.scalars(found).all(), total
