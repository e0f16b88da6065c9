"""Previews of videos and of cloze questions, made when somebody first looks at them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from records.db import NOW, Base, Identified
from records.models.columns import words
from records.models.datasets import DatasetRow
from vcp_core.catalog.errors import VcpbenchError


class MediaState(StrEnum):
    """The states: making -> made or failed."""

    MAKING = "making"
    MADE = "made"
    FAILED = "failed"


class Media(Identified, Base):
    """The previews of a group of videos, or of the questions of these videos, in one object.

    Attributes:
        dataset_id: The dataset that a worker reads. Others of the same fingerprint share the previews.
        fingerprint: The fingerprint of its videos.
        geometry: What the network sees (`vcp_core.catalog.previews`).
        protocol_hash: The protocol of the questions; empty for previews of the videos themselves.
        number: Number of the group (`vcp_core.catalog.previews.group_of`).
        state: See `MediaState`.
        reason: Why it failed.
        sha256: Hash of the object. It is set before the object is stored.
        size_bytes: Size of the object.
        files: The files in it: `{name: [first byte, bytes, SHA-256]}`.
        failed: The errors of videos that cannot be decoded any more, by key.
        finished_at: When it was made, or failed.
        used_at: When somebody last looked at it, to the day.
    """

    __tablename__ = "media"
    __table_args__ = (
        UniqueConstraint("fingerprint", "geometry", "protocol_hash", "number", name="uq_media_group"),
        Index("ix_media_sha256", "sha256"),
    )

    dataset_id: Mapped[UUID] = mapped_column(ForeignKey("dataset.id", ondelete="CASCADE"), index=True)
    fingerprint: Mapped[str]
    geometry: Mapped[str]
    protocol_hash: Mapped[str]
    number: Mapped[int]
    state: Mapped[MediaState] = mapped_column(words(MediaState, "state"))
    reason: Mapped[VcpbenchError | None]
    sha256: Mapped[str | None]
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    files: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    failed: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    finished_at: Mapped[datetime | None]
    used_at: Mapped[datetime] = mapped_column(server_default=NOW, index=True)

    dataset: Mapped[DatasetRow] = relationship(lazy="joined")
