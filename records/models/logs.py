"""Training logs of models."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from records.db import NOW, Base, Identified
from records.models.checkpoints import Model


class LogRow(Identified, Base):
    """The training log of one run of a model: curves over training steps (`vcp_core.catalog.logs`).

    Attributes:
        model_id: The model.
        run: Name of the training run; None for checkpoints without one.
        by: Name of the token that uploaded it last.
        uploaded_at: When it was uploaded last. A new upload replaces the log.
        num_rows: Number of steps.
        names: Names of the curves.
        steps: The steps, ascending.
        curves: By name, a value for each step; null where there is none.
    """

    __tablename__ = "training_log"
    __table_args__ = (UniqueConstraint("model_id", "run", postgresql_nulls_not_distinct=True),)

    model_id: Mapped[UUID] = mapped_column(ForeignKey("model.id", ondelete="CASCADE"))
    run: Mapped[str | None]
    by: Mapped[str]
    uploaded_at: Mapped[datetime] = mapped_column(server_default=NOW)
    num_rows: Mapped[int]
    names: Mapped[list[str]] = mapped_column(JSON)
    steps: Mapped[list[int]] = mapped_column(JSON, deferred=True)
    curves: Mapped[dict[str, list[float | None]]] = mapped_column(JSON, deferred=True)

    model: Mapped[Model] = relationship(lazy="joined")
