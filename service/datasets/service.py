"""Registering datasets, and finding them by name."""

from __future__ import annotations

from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from records import jobs
from records.models import DatasetRow, DatasetState, JobKind
from records.repositories import datasets
from service.problems import Conflict
from vcp_core.catalog.datasets import DATASETS
from vcp_core.catalog.errors import UnknownName


def register(session: Session, name: str, source: dict[str, Any], *, team: str) -> DatasetRow:
    """Have a worker index the videos; an older dataset of the name keeps its results and loses the name.

    Raises:
        Conflict: If the name is a built-in dataset's.
    """
    if name in DATASETS and DATASETS[name].built_in and source != {"name_or_path": name}:
        raise Conflict(f"{name!r} is built in. Give the folder another name.")
    jobs.lock(session, "vcpbench.datasets")
    retire(session, name)
    row = DatasetRow(name=name, source=source, state=DatasetState.INDEXING)
    session.add(row)
    session.flush()
    jobs.enqueue(session, JobKind.INDEX, team=team, dataset_id=row.id)
    session.refresh(row)
    return row


def retire(session: Session, name: str) -> int:
    """Take the name from the dataset that has it; how many there were."""
    named = update(DatasetRow).where(DatasetRow.name == name, DatasetRow.retired_at.is_(None))
    return len(session.scalars(named.values(retired_at=jobs.NOW).returning(DatasetRow.id)).all())


def find(session: Session, name: str, *, team: str) -> DatasetRow:
    """The dataset of that name; a built-in one is registered when it is first asked for, or after a failure.

    Raises:
        UnknownName: If there is none.
    """
    found = datasets.named(session, name)
    built_in = name in DATASETS and DATASETS[name].built_in
    if built_in and (found is None or found.state is DatasetState.FAILED):
        return register(session, name, {"name_or_path": name}, team=team)
    if found is None:
        raise UnknownName("dataset", name, known(session))
    return found


def known(session: Session) -> list[str]:
    """Names that can be asked for."""
    registered = {row.name for row in datasets.every(session)}
    return sorted(registered | {spec.name for spec in DATASETS.values() if spec.built_in})
