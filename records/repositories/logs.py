"""Training logs of models: one for each run."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from records.db import NOW
from records.models import LogRow, Model
from records.repositories import locks
from vcp_core.catalog.logs import TrainingLog


def lock_of(model: Model) -> str:
    """Name of the lock under which requests add and replace logs of a model."""
    return f"vcpbench.logs.{model.id}"


def of_model(
    session: Session, model_id: UUID, *, limit: int | None = None, offset: int = 0
) -> Sequence[LogRow]:
    """The logs of a model, the last uploaded first. Their curves are loaded on their first use."""
    query = select(LogRow).where(LogRow.model_id == model_id)
    query = query.order_by(LogRow.uploaded_at.desc(), LogRow.id).limit(limit).offset(offset)
    return session.scalars(query).all()


def count(session: Session, model_id: UUID) -> int:
    """How many logs a model has."""
    query = select(func.count()).select_from(LogRow).where(LogRow.model_id == model_id)
    return session.scalar(query) or 0


def get(session: Session, log_id: UUID) -> LogRow | None:
    """Find a log by its id."""
    return session.get(LogRow, log_id)


def of_run(session: Session, model_id: UUID, run: str | None) -> LogRow | None:
    """The log of a run."""
    query = select(LogRow).where(LogRow.model_id == model_id, LogRow.run.is_not_distinct_from(run))
    return session.scalars(query).one_or_none()


def put(session: Session, model: Model, run: str | None, found: TrainingLog, *, by: str) -> LogRow:
    """Add the log of a run, or replace it. The caller holds the lock `lock_of(model)`."""
    locks.expect(session, lock_of(model))
    row = of_run(session, model.id, run) or LogRow(model=model, run=run)
    row.by, row.uploaded_at, row.num_rows = by, NOW, len(found.steps)
    row.names, row.steps = list(found.curves), list(found.steps)
    row.curves = {name: list(values) for name, values in found.curves.items()}
    session.add(row)
    session.flush()
    session.refresh(row)
    return row


def delete(session: Session, row: LogRow) -> None:
    """Delete a log."""
    session.delete(row)
    session.flush()
