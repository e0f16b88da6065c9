"""Datasets and protocols."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, false, func, text
from sqlalchemy.orm import Mapped, mapped_column

from records.db import Base, Identified
from records.models.columns import words
from vcp_core.catalog.errors import VcpbenchError


class DatasetState(StrEnum):
    """indexing -> ready or failed."""

    INDEXING = "indexing"
    READY = "ready"
    FAILED = "failed"


class DatasetRow(Identified, Base):
    """Videos that workers can read, under a name.

    Attributes:
        name: What users type. A newer registration of the name retires the older one, whose results stay.
        own_name: The catalog's, whatever it is registered under; None where that has none.
        source: Arguments of `vcp_core.load_dataset`, as the workers see the files.
        state: See `DatasetState`.
        reason: Why it failed.
        fingerprint: Of its videos; results of different fingerprints never share a board.
        summary: Numbers for people: videos, classes, licence, warnings, what was left out.
        retired_at: Since when it has no name: a newer one has it, or nobody waited for this one.
        on_demand: Whether an evaluation's request registered it. Nobody wants it but those evaluations.
    """

    __tablename__ = "dataset"
    __table_args__ = (
        Index("uq_dataset_name", "name", unique=True, postgresql_where=text("retired_at IS NULL")),
    )

    name: Mapped[str]
    own_name: Mapped[str | None]
    source: Mapped[dict[str, Any]]
    state: Mapped[DatasetState] = mapped_column(words(DatasetState, "state"))
    reason: Mapped[VcpbenchError | None]
    fingerprint: Mapped[str | None] = mapped_column(index=True)
    summary: Mapped[dict[str, Any] | None]
    retired_at: Mapped[datetime | None]
    on_demand: Mapped[bool] = mapped_column(default=False, server_default=false())


class ProtocolRow(Base):
    """A resolved protocol; its hash is what counts, its name is for people."""

    __tablename__ = "protocol"

    hash: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    content: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
