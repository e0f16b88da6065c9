"""Models, their checkpoints, and uploads under way."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from records.db import Base, Identified
from records.models.columns import words
from vcp_core.catalog.errors import VcpbenchError


class Origin(StrEnum):
    """Where weights come from."""

    UPLOAD = "upload"
    CONTROL = "control"  # random weights that vcpbench calibrates itself, or the pixel baseline


class CheckpointState(StrEnum):
    """declared -> ingesting -> ready or rejected; a control starts at ingesting."""

    DECLARED = "declared"
    INGESTING = "ingesting"
    READY = "ready"
    REJECTED = "rejected"


class Model(Identified, Base):
    """A name under which a team's checkpoints come."""

    __tablename__ = "model"
    __table_args__ = (UniqueConstraint("team", "name"),)

    team: Mapped[str]
    name: Mapped[str]


class Checkpoint(Identified, Base):
    """Weights of one moment.

    Attributes:
        model_id: Whose they are; None for a control.
        origin: An upload, or a control.
        state: See `CheckpointState`.
        size_bytes: As declared, and once uploaded as counted.
        sha256: Of the file; as declared, and once uploaded as computed.
        backbone: As declared; once ready, as found.
        run: Name of the training run.
        step: Of that run.
        pretrained_on: What its makers declare that it was trained on (`vcp_core.catalog.leaks`).
        prefix: Which of several networks in the file, as declared; None for the one that is preferred.
        input_spec: What it takes in, as declared (`vcp_core.catalog.inputs`); None for the backbone's own. A
            control takes what the checkpoints beside it take.
        report: How the backbone was found (CheckpointReport).
        weights_sha256: Of the canonical file, whose object key it gives.
        reason: Why it was rejected.
        control_key: For a control: hash of all that determines it.
        seed: For random weights; the control without one is the pixel baseline, which has no weights either.
        uploaded_at: When the last byte was there.
    """

    __tablename__ = "checkpoint"
    __table_args__ = (
        Index("ix_checkpoint_model_id_created_at", "model_id", "created_at"),
        Index("ix_checkpoint_sha256", "sha256"),
    )

    model_id: Mapped[UUID | None] = mapped_column(ForeignKey("model.id"))
    origin: Mapped[Origin] = mapped_column(words(Origin, "origin"))
    state: Mapped[CheckpointState] = mapped_column(words(CheckpointState, "state"))
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str | None]
    backbone: Mapped[str | None]
    run: Mapped[str | None]
    step: Mapped[int | None] = mapped_column(BigInteger)
    pretrained_on: Mapped[str | None]
    prefix: Mapped[str | None]
    input_spec: Mapped[str | None]
    report: Mapped[dict[str, Any] | None]
    weights_sha256: Mapped[str | None]
    reason: Mapped[VcpbenchError | None]
    control_key: Mapped[str | None] = mapped_column(unique=True)
    seed: Mapped[int | None] = mapped_column(BigInteger)
    uploaded_at: Mapped[datetime | None]

    @property
    def is_pixels(self) -> bool:
        """Whether it is the pixel baseline, of clips as `backbone` takes them."""
        return self.origin is Origin.CONTROL and self.seed is None

    model: Mapped[Model | None] = relationship(lazy="joined")
    parts: Mapped[list[UploadPart]] = relationship(order_by="UploadPart.start", cascade="all, delete-orphan")


class UploadPart(Identified, Base):
    """Bytes of an upload that are safely in the store, from `start` on."""

    __tablename__ = "upload_part"
    __table_args__ = (UniqueConstraint("checkpoint_id", "start"),)

    checkpoint_id: Mapped[UUID] = mapped_column(ForeignKey("checkpoint.id", ondelete="CASCADE"))
    start: Mapped[int] = mapped_column(BigInteger)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    key: Mapped[str]
