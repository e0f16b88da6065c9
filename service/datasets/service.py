"""Register datasets, and find them by name."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy.orm import Session

from records import flow
from records.db import NOW
from records.models import DatasetRow, DatasetState, JobKind
from records.repositories import datasets, jobs
from service.problems import Conflict
from vcp_core.catalog.datasets import DATASETS, is_built_in
from vcp_core.catalog.errors import UnknownName


def register(session: Session, name: str, source: dict[str, Any], *, team: str) -> DatasetRow:
    """Register a dataset, and let a worker index it. An older dataset loses the name and keeps its results.

    Raises:
        Conflict: If the name is a built-in dataset's.
    """
    if is_built_in(name) and source != {"name_or_path": name}:
        raise Conflict(f"{name!r} is built in. Give the folder another name.")
    flow.lock(session)
    return _register(session, name, source, team=team)


def _register(
    session: Session, name: str, source: dict[str, Any], *, team: str, on_demand: bool = False
) -> DatasetRow:
    _retire(session, name)
    row = DatasetRow(
        name=name,
        source=source,
        state=DatasetState.INDEXING,
        shows_media=datasets.shows_media(session, name),
        on_demand=on_demand,
    )
    session.add(row)
    session.flush()
    jobs.enqueue(session, JobKind.INDEX, team=team, dataset_id=row.id)
    session.refresh(row)
    return row


def retire(session: Session, name: str) -> bool:
    """Take the name from the dataset that has it, and stop its indexing if nobody waits for it."""
    flow.lock(session)
    return _retire(session, name)


def _retire(session: Session, name: str) -> bool:
    found = datasets.named(session, name)
    if found is None:
        return False
    found.retired_at = cast(Any, NOW)
    session.flush()
    session.refresh(found)
    flow.forget_dataset(session, found)
    return True


def find(session: Session, name: str, *, team: str) -> DatasetRow:
    """Find a dataset by its name. A built-in one is registered on its first request, or after a failure.

    The caller holds the flow's lock. Otherwise the dataset could be forgotten before an evaluation waits for
    it.

    Raises:
        UnknownName: If no dataset has the name.
    """
    found = datasets.named(session, name)
    if is_built_in(name) and (found is None or found.state is DatasetState.FAILED):
        return _register(session, name, {"name_or_path": name}, team=team, on_demand=True)
    if found is None:
        raise UnknownName("dataset", name, known(session))
    return found


def page(session: Session, *, limit: int, offset: int) -> tuple[list[tuple[str, DatasetRow | None]], int]:
    """Datasets by name, each with its row, and how many there are. A built-in one may have no row yet."""
    names = known(session)
    wanted = names[offset : offset + limit]
    rows = {row.name: row for row in datasets.among(session, wanted)}
    return [(name, rows.get(name)) for name in wanted], len(names)


def known(session: Session) -> list[str]:
    """All names of datasets that an evaluation can name."""
    return sorted(set(datasets.names(session)) | {spec.name for spec in DATASETS.values() if spec.built_in})
