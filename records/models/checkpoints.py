"""Models, their checkpoints, and uploads under way."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from records.db import Base, Identified
from records.models.columns import words
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.errors import VcpbenchError
from vcp_core.catalog.graphs import GraphFacts
from vcp_core.catalog.readings import resolve
from vcp_core.catalog.specs import BackboneSpec


class Origin(StrEnum):
    """The origin of weights."""

    UPLOAD = "upload"
    CONTROL = "control"  # random weights that vcpbench calibrates itself, or the pixel baseline


class CheckpointState(StrEnum):
    """The states: declared -> ingesting -> ready or rejected. A control starts at ingesting."""

    DECLARED = "declared"
    INGESTING = "ingesting"
    READY = "ready"
    REJECTED = "rejected"


class Model(Identified, Base):
    """The name of a series of a team's checkpoints.

    Attributes:
        team: The team that owns it.
        name: Its name now; `FormerName` has those of before.
        private: Whether only its team and administrators see it (`records.repositories.visibility`).
        privacy_changed_at: When it last became private or public; None if it has always been public.
    """

    __tablename__ = "model"
    __table_args__ = (
        UniqueConstraint("team", "name"),
        Index("ix_model_private", "team", postgresql_where=text("private")),
        Index("ix_model_privacy_changed_at", "privacy_changed_at"),
    )

    team: Mapped[str]
    name: Mapped[str]
    private: Mapped[bool] = mapped_column(default=False, server_default=false())
    privacy_changed_at: Mapped[datetime | None]


class Checkpoint(Identified, Base):
    """The weights of a network at one moment of its training.

    Attributes:
        model_id: The model that the checkpoint belongs to; None for a control.
        origin: An upload, or a control.
        state: See `CheckpointState`.
        size_bytes: Size of the file: as declared, then as counted once it is uploaded.
        sha256: SHA-256 of the file: as declared, then as computed once it is uploaded.
        backbone: The architecture: as declared, then as found once the checkpoint is ready. For a graph, its
            name (`vcp_core.catalog.graphs`).
        graph: The facts of a graph; None for a backbone of the catalog. A control has those of the
            checkpoints that it is compared with.
        run: Name of the training run.
        step: Training step of that run.
        pretrained_on: Training data, as the uploader declares it (`vcp_core.catalog.leaks`).
        prefix: Which of several networks in the file is meant, as declared; None for the preferred one.
        input_spec: Form of the input, as declared (`vcp_core.catalog.inputs`); None for the backbone's own. A
            control has the input of the checkpoints that it is compared with.
        variant: Form of the network, as declared (`vcp_core.catalog.variants`); None for the usual one. A
            control has that of the checkpoints that it is compared with.
        scheme: Key scheme of the file (`vcp_core.catalog.keys`), once ready. For a control, the scheme whose
            facts it was made with; None for those of the backbone's first.
        report: How the backbone was found (CheckpointReport).
        weights_sha256: SHA-256 of the canonical weights; their object key is made of it. It is set before the
            object is stored, so the object is there once the checkpoint is ready.
        weights_bytes: Size of this object; None until it is known.
        reason: Why the checkpoint was rejected.
        control_key: For a control: hash of everything that determines its weights.
        seed: Seed of random weights. A control without a seed is the pixel baseline, which has no weights.
        uploaded_at: When the last byte arrived.
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
    graph: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    run: Mapped[str | None]
    step: Mapped[int | None] = mapped_column(BigInteger)
    pretrained_on: Mapped[str | None]
    prefix: Mapped[str | None]
    input_spec: Mapped[str | None]
    variant: Mapped[str | None]
    scheme: Mapped[str | None]
    report: Mapped[dict[str, Any] | None]
    weights_sha256: Mapped[str | None] = mapped_column(index=True)
    weights_bytes: Mapped[int | None] = mapped_column(BigInteger)
    reason: Mapped[VcpbenchError | None]
    control_key: Mapped[str | None] = mapped_column(unique=True)
    seed: Mapped[int | None] = mapped_column(BigInteger)
    uploaded_at: Mapped[datetime | None]

    @property
    def is_pixels(self) -> bool:
        """Whether this is the pixel baseline of clips as `backbone` takes them."""
        return self.origin is Origin.CONTROL and self.seed is None

    @property
    def is_known(self) -> bool:
        """Whether this version can describe its network: a graph, or a backbone of the catalog."""
        return self.graph is not None or (self.backbone is not None and self.backbone in BACKBONES)

    @property
    def graph_facts(self) -> GraphFacts:
        """The facts of a graph."""
        assert self.graph is not None
        return GraphFacts.from_dict(self.graph)

    @property
    def spec(self) -> BackboneSpec:
        """The facts of its network, with what its owner declared. `is_known` must hold.

        Raises:
            UnknownName: If this version does not know the backbone, the key scheme or the variant.
        """
        assert self.backbone is not None
        return resolve(
            self.backbone if self.graph is None else self.graph_facts,
            scheme=self.scheme,
            variant=self.variant,
            input_spec=self.input_spec,
        )

    @property
    def known_spec(self) -> BackboneSpec | None:
        """The same; None if this version of vcpbench cannot describe the network."""
        try:
            return self.spec if self.is_known else None
        except VcpbenchError:  # of a scheme, variant or input that this version does not know
            return None

    model: Mapped[Model | None] = relationship(lazy="joined")
    parts: Mapped[list[UploadPart]] = relationship(order_by="UploadPart.start", cascade="all, delete-orphan")


class UploadPart(Identified, Base):
    """A part of an upload, from byte `start` on, that is in the store."""

    __tablename__ = "upload_part"
    __table_args__ = (UniqueConstraint("checkpoint_id", "start"),)

    checkpoint_id: Mapped[UUID] = mapped_column(ForeignKey("checkpoint.id", ondelete="CASCADE"))
    start: Mapped[int] = mapped_column(BigInteger)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    key: Mapped[str]
