"""What was deleted, so that old links say so; and when the last sweep ended."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import false
from sqlalchemy.orm import Mapped, mapped_column

from records.db import NOW, Base, Identified
from records.models.columns import words


class Deleted(StrEnum):
    """The kinds of things that can be deleted, and whose ids people may have kept."""

    CHECKPOINT = "checkpoint"
    COMPARISON = "comparison"  # of many evaluations, one of which was deleted
    DATASET = "dataset"
    EVALUATION = "evaluation"
    MODEL = "model"


class Sweep(Identified, Base):
    """The end of the last sweep (`records.sweep`): `created_at`. Older rows are deleted."""

    __tablename__ = "sweep"


class Tombstone(Base):
    """A deleted thing: its id, and nothing that was in it.

    Attributes:
        id: The id that it had.
        kind: What it was.
        team: The team that it belonged to.
        private: Whether it belonged to a private model. Then only its team and administrators are told of it.
        by: Name of the token that deleted it.
        made_at: When it was made.
        deleted_at: When it was deleted.
    """

    __tablename__ = "tombstone"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[Deleted] = mapped_column(words(Deleted, "kind"))
    team: Mapped[str]
    private: Mapped[bool] = mapped_column(server_default=false())
    by: Mapped[str]
    made_at: Mapped[datetime]
    deleted_at: Mapped[datetime] = mapped_column(server_default=NOW)
