"""What teams write and hand out: notes on evaluations, saved views of pages, links to one page."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from records.db import Base, Identified
from records.models.evaluations import Evaluation


class Note(Identified, Base):
    """A note on an evaluation, in plain text.

    Attributes:
        evaluation_id: The evaluation.
        team: The team of its writer.
        by: Name of the token that wrote it. `created_at` says when.
        text: The note, as it was last written.
        edited_at: When it was last changed; None if never.
        edited_by: Name of the token that last changed it.
    """

    __tablename__ = "note"
    __table_args__ = (Index("ix_note_evaluation_id_created_at", "evaluation_id", "created_at"),)

    evaluation_id: Mapped[UUID] = mapped_column(ForeignKey("evaluation.id", ondelete="CASCADE"))
    team: Mapped[str]
    by: Mapped[str]
    text: Mapped[str]
    edited_at: Mapped[datetime | None]
    edited_by: Mapped[str | None]


class SavedView(Identified, Base):
    """A team's name for the address of a page with its filters.

    Attributes:
        team: The team that sees it.
        page: The page's path: `/`, `/models` or `/compare`.
        name: A name for people; one page of one team has no two views of a name.
        query: The address's query, without the question mark.
        by: Name of the token that saved it. `created_at` says when.
    """

    __tablename__ = "saved_view"
    __table_args__ = (UniqueConstraint("team", "page", "name"),)

    team: Mapped[str]
    page: Mapped[str]
    name: Mapped[str]
    query: Mapped[str]
    by: Mapped[str]


class Share(Identified, Base):
    """A link that reads one page without a token: an evaluation, or a comparison of two.

    Attributes:
        team: The team that made it, and that may revoke it.
        by: Name of the token that made it. `created_at` says when.
        secret_sha256: SHA-256 of the secret in the link (32 random bytes, which are stored nowhere).
        evaluation_id: The evaluation; of a comparison, the first one. None if what it opened was deleted.
        second_id: The second evaluation of a comparison; None for the page of one evaluation.
        expires_at: From when on the link opens nothing.
        revoked_at: When it was revoked; None if it was not.
        revoked_by: Name of the token that revoked it.
        deleted_at: When an evaluation that it opened was deleted. The row then names none.
    """

    __tablename__ = "share"
    __table_args__ = (Index("ix_share_team_created_at", "team", "created_at"),)

    team: Mapped[str]
    by: Mapped[str]
    secret_sha256: Mapped[str] = mapped_column(unique=True)
    evaluation_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("evaluation.id", ondelete="CASCADE"), index=True
    )
    second_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("evaluation.id", ondelete="CASCADE"), index=True
    )
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[str | None]
    deleted_at: Mapped[datetime | None]

    evaluation: Mapped[Evaluation | None] = relationship(foreign_keys=[evaluation_id])
    second: Mapped[Evaluation | None] = relationship(foreign_keys=[second_id])
