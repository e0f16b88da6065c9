"""Comparisons of two evaluations or of many. They are kept, because finished evaluations never change."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Table, UniqueConstraint
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


comparison_members = Table(
    "comparison_member",
    Base.metadata,
    Column("comparison_id", ForeignKey("comparison.id", ondelete="CASCADE"), primary_key=True),
    Column("evaluation_id", ForeignKey("evaluation.id", ondelete="CASCADE"), primary_key=True, index=True),
)


class Comparison(Identified, Base):
    """The second evaluation against the first; or many evaluations with a baseline, and in all pairs.

    Attributes:
        first_id: The evaluation that others are compared with: the first of two, or the baseline of many.
        second_id: The evaluation that is compared; null for a comparison of many.
        members_key: Hash of the ids of all members, the baseline included; null for a comparison of two.
        version: Version of the rules of comparison (`vcp_core.scoring.stored_comparison`, `stored_many`).
        state: See `ComparisonState`.
        reason: Why the comparison failed.
        content: The differences, once done: `Compared` of two, `ComparedMany` of many. The differences of
            many from their baseline are comparisons of two, in rows of their own.
        finished_at: When the comparison ended.
        members: The evaluations of a comparison of many, by id.
    """

    __tablename__ = "comparison"
    __table_args__ = (
        UniqueConstraint("first_id", "second_id", "version"),
        CheckConstraint("num_nonnulls(second_id, members_key) = 1", name="two_or_many"),
        Index("uq_comparison_members", "members_key", "first_id", "version", unique=True),
    )

    first_id: Mapped[UUID] = mapped_column(ForeignKey("evaluation.id", ondelete="CASCADE"))
    second_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("evaluation.id", ondelete="CASCADE"), index=True
    )
    members_key: Mapped[str | None]
    version: Mapped[str]
    state: Mapped[ComparisonState] = mapped_column(words(ComparisonState, "state"))
    reason: Mapped[VcpbenchError | None]
    content: Mapped[dict[str, Any] | None]
    finished_at: Mapped[datetime | None]

    first: Mapped[Evaluation] = relationship(foreign_keys=[first_id])
    second: Mapped[Evaluation | None] = relationship(foreign_keys=[second_id])
    members: Mapped[list[Evaluation]] = relationship(
        secondary=comparison_members, order_by=Evaluation.id, lazy="select"
    )
