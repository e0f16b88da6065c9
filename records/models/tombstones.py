"""What was deleted, so that old links say so."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import false
from sqlalchemy.orm import Mapped, mapped_column

from records.db import NOW, Base
from records.models.columns import words


class Deleted(StrEnum):
    """The kinds of things that can be deleted, and whose ids people may have kept."""

    CHECKPOINT = "checkpoint"
    COMPARISON = "comparison"  # of many evaluations, one of which was deleted
    DATASET = "dataset"
    EVALUATION = "evaluation"
    MODEL = "model"


class Tombstone(Base):
    """A deleted thing: its id, and nothing that was in it.

    Attributes:
        id: The id that it had.
        kind: What it was.
        team: The team that it belonged to.
        private: Whether it belonged to a private model. Then only its team and administrators are told of it.
        by: Name of the token that deleted it.
        deleted_at: When it was deleted.
    """

    __tablename__ = "tombstone"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[Deleted] = mapped_column(words(Deleted, "kind"))
    team: Mapped[str]
    private: Mapped[bool] = mapped_column(server_default=false())
    by: Mapped[str]
    deleted_at: Mapped[datetime] = mapped_column(server_default=NOW)
