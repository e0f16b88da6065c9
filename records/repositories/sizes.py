"""Sizes of what is in the store, by team, dataset and kind, as the rows know them.

A file that two teams uploaded counts for both. Controls, previews and manifests belong to no team.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Select, Uuid, any_, false, func, literal, null, select
from sqlalchemy.orm import Session

from records.models import (
    Checkpoint,
    CheckpointState,
    DatasetRow,
    Media,
    MediaState,
    Model,
    Shard,
    UploadPart,
)


@dataclass(frozen=True, kw_only=True)
class Size:
    """The objects of one kind, of one team and one dataset.

    Attributes:
        kind: The kind, in the plural.
        team: The team; None for what all teams share.
        dataset: Name of the dataset; None for what belongs to none.
        count: Number of objects.
        size_bytes: Their size, as far as it is known.
        would_free_bytes: How much of it the next sweep would delete.
    """

    kind: str
    team: str | None
    dataset: str | None
    count: int
    size_bytes: int
    would_free_bytes: int


def every(
    session: Session, *, features: Collection[UUID] = (), previews: Collection[UUID] = ()
) -> list[Size]:
    """All sizes. `features` and `previews` are the rows that the next sweep would take."""
    upload = (Checkpoint.model_id == Model.id, Checkpoint.state != CheckpointState.DECLARED)
    files = _each(Model.team, None, Checkpoint.sha256, Checkpoint.size_bytes).where(*upload)
    weights = (
        _each(Model.team, None, Checkpoint.weights_sha256, Checkpoint.weights_bytes)
        .select_from(Checkpoint)
        .outerjoin(Model, Model.id == Checkpoint.model_id)
        .where(Checkpoint.state == CheckpointState.READY, Checkpoint.weights_sha256.is_not(None))
    )
    parts = (
        _each(Model.team, None, UploadPart.key, UploadPart.size_bytes)
        .select_from(UploadPart)
        .join(Checkpoint, Checkpoint.id == UploadPart.checkpoint_id)
        .join(Model, Model.id == Checkpoint.model_id)
    )
    kept = (
        _each(Model.team, DatasetRow.name, Shard.key, Shard.size_bytes, _among(Shard.id, features))
        .select_from(Shard)
        .join(Checkpoint, Checkpoint.id == Shard.checkpoint_id)
        .outerjoin(Model, Model.id == Checkpoint.model_id)
        .join(DatasetRow, DatasetRow.id == Shard.dataset_id)
        .where(Shard.swept_at.is_(None), Shard.sha256.is_not(None))
    )
    media = (
        _each(None, DatasetRow.name, Media.sha256, Media.size_bytes, _among(Media.id, previews))
        .select_from(Media)
        .join(DatasetRow, DatasetRow.id == Media.dataset_id)
        .where(Media.state == MediaState.MADE)
    )
    indexed = DatasetRow.manifest_sha256.is_not(None)
    manifests = _each(None, DatasetRow.name, DatasetRow.id, DatasetRow.manifest_bytes).where(indexed)
    queries = {
        "uploaded files": files,
        "parts of uploads": parts,
        "weights": weights,
        "features": kept,
        "previews": media,
        "manifests": manifests,
    }
    return [size for kind, query in queries.items() for size in _grouped(session, kind, query)]


def _each(team: Any, dataset: Any, name: Any, size: Any, goes: Any = None) -> Select[Any]:
    """One row for each object of a team and a dataset: its size, and whether it would go."""
    columns = [null() if one is None else one for one in (team, dataset)]
    found = select(
        columns[0].label("team"),
        columns[1].label("dataset"),
        func.coalesce(func.max(size), 0).label("size"),
        func.bool_and(false() if goes is None else goes).label("goes"),
    )
    return found.group_by(*(one for one in (team, dataset) if one is not None), name)


def _grouped(session: Session, kind: str, query: Select[Any]) -> list[Size]:
    each = query.subquery()
    freed = func.coalesce(func.sum(each.c.size).filter(each.c.goes), 0)
    grouped = select(each.c.team, each.c.dataset, func.count(), func.sum(each.c.size), freed)
    rows = session.execute(
        grouped.group_by(each.c.team, each.c.dataset).order_by(each.c.team, each.c.dataset)
    )
    return [
        Size(
            kind=kind,
            team=team,
            dataset=dataset,
            count=count,
            size_bytes=int(size),
            would_free_bytes=int(free),
        )
        for team, dataset, count, size, free in rows
    ]


def _among(column: Any, ids: Collection[UUID]) -> ColumnElement[bool]:
    return column == any_(literal(list(ids), ARRAY(Uuid))) if ids else false()
