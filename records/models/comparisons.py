"""Comparisons of two evaluations, kept because both sides never change."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from records.db import Base, Identified
from records.models.columns import words
from records.models.evaluations import Evaluation
from vcp_core.catalog.errors import VcpbenchError


class ComparisonState(StrEnum):
    """The states: waiting -> done or failed. The comparison's job says whether a worker is making it."""

    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


class Comparison(Identified, Base):
    """The second evaluation against the first.

    Attributes:
        first_id: The evaluation that the second is compared with.
        second_id: The evaluation that is compared.
        version: Version of the rules of comparison (`vcp_core.scoring.stored_comparison`).
        state: See `ComparisonState`.
        reason: Why the comparison failed.
        content: The differences (`vcp_core.scoring.stored_comparison.Compared`), once done.
        finished_at: When the comparison ended.
    """

    __tablename__ = "comparison"
    __table_args__ = (UniqueConstraint("first_id", "second_id", "version"),)

    first_id: Mapped[UUID] = mapped_column(ForeignKey("evaluation.id", ondelete="CASCADE"))
    second_id: Mapped[UUID] = mapped_column(ForeignKey("evaluation.id", ondelete="CASCADE"), index=True)
    version: Mapped[str]
    state: Mapped[ComparisonState] = mapped_column(words(ComparisonState, "state"))
    reason: Mapped[VcpbenchError | None]
    content: Mapped[dict[str, Any] | None]
    finished_at: Mapped[datetime | None]

    first: Mapped[Evaluation] = relationship(foreign_keys=[first_id])
    second: Mapped[Evaluation] = relationship(foreign_keys=[second_id])
