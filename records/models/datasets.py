"""Datasets and protocols."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Index, false, func, text, true
from sqlalchemy.orm import Mapped, mapped_column

from records.db import Base, Identified
from records.models.columns import words
from vcp_core.catalog.errors import VcpbenchError


class DatasetState(StrEnum):
    """The states: indexing -> ready or failed."""

    INDEXING = "indexing"
    READY = "ready"
    FAILED = "failed"


class DatasetRow(Identified, Base):
    """A named set of videos that workers can read.

    Attributes:
        name: The name that users type. A newer registration of the name retires the older; results stay.
        own_name: The catalog's name of the dataset; None if the catalog does not know the dataset.
        source: Arguments of `vcp_core.load_dataset`, with paths as the workers see them.
        state: See `DatasetState`.
        reason: Why the indexing failed.
        fingerprint: Hash of the videos. Results of different fingerprints never share a leaderboard.
        summary: Facts for people: videos, classes, licence, warnings, and what was left out.
        manifest_sha256: SHA-256 of the manifest's object; None for one that was stored without a hash.
        manifest_bytes: Size of the manifest's object; None until it is known.
        retired_at: When the dataset lost its name: to a newer dataset, or because nobody waited for it.
        shows_media: Whether people may see previews of its videos. An operator may switch them off.
        on_demand: Whether an evaluation's request registered it. Then only evaluations wait for it.
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
    manifest_sha256: Mapped[str | None]
    manifest_bytes: Mapped[int | None] = mapped_column(BigInteger)
    retired_at: Mapped[datetime | None]
    shows_media: Mapped[bool] = mapped_column(default=True, server_default=true())
    on_demand: Mapped[bool] = mapped_column(default=False, server_default=false())


class ProtocolRow(Base):
    """A resolved protocol. Its hash identifies it; its name is for people."""

    __tablename__ = "protocol"

    hash: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    content: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
