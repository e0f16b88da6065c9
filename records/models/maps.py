"""Maps of the test videos of evaluations, kept because an evaluation that is done never changes."""

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


class MapState(StrEnum):
    """The states: waiting -> done or failed. The map's job says whether a worker is drawing it."""

    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


class MapRow(Identified, Base):
    """The test videos of an evaluation in two dimensions.

    Attributes:
        evaluation_id: The evaluation. Its features, protocol and answers never change once it is done.
        like_id: The evaluation whose map this one begins at; None for a map that stands alone.
        version: Version of the method (`vcp_core.scoring.maps.MAP_VERSION`).
        state: See `MapState`.
        reason: Why the map failed.
        content: `vcp_core.scoring.maps.VideoMap`, once done.
        finished_at: When the map ended.
    """

    __tablename__ = "map"
    __table_args__ = (
        UniqueConstraint("evaluation_id", "like_id", "version", postgresql_nulls_not_distinct=True),
    )

    evaluation_id: Mapped[UUID] = mapped_column(ForeignKey("evaluation.id", ondelete="CASCADE"))
    like_id: Mapped[UUID | None] = mapped_column(ForeignKey("evaluation.id", ondelete="CASCADE"), index=True)
    version: Mapped[str]
    state: Mapped[MapState] = mapped_column(words(MapState, "state"))
    reason: Mapped[VcpbenchError | None]
    content: Mapped[dict[str, Any] | None] = mapped_column(deferred=True)
    finished_at: Mapped[datetime | None]

    evaluation: Mapped[Evaluation] = relationship(foreign_keys=[evaluation_id])
