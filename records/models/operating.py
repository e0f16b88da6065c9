"""What operators set: pauses of queues and kinds of job, and the quotas of teams."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, func
from sqlalchemy.orm import Mapped, mapped_column

from records.db import Base, Identified


class Pause(Identified, Base):
    """A queue or a kind of job of which workers claim nothing. Resuming deletes the row.

    Attributes:
        what: A queue ("cpu", "gpu") or a kind (`JobKind`). No kind has the name of a queue.
        why: The reason, for people.
        by: Name of the token that paused it. `created_at` says when.
    """

    __tablename__ = "pause"

    what: Mapped[str] = mapped_column(unique=True)
    why: Mapped[str]
    by: Mapped[str]


class TeamQuota(Base):
    """What one team may use, where it differs from the installation's settings.

    Attributes:
        team: The team.
        num_bytes: Bytes of its files; None for the installation's setting, 0 for no limit.
        uploads_a_day: New checkpoints within 24 hours; likewise.
        running: Evaluations that wait or run; likewise.
        by: Name of the token that set them last.
        set_at: When.
    """

    __tablename__ = "team_quota"

    team: Mapped[str] = mapped_column(primary_key=True)
    num_bytes: Mapped[int | None] = mapped_column(BigInteger)
    uploads_a_day: Mapped[int | None]
    running: Mapped[int | None]
    by: Mapped[str]
    set_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
