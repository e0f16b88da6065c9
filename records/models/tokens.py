"""API tokens, of which only hashes are kept."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from records.db import Base, Identified


class Token(Identified, Base):
    """A secret's SHA-256 (the secret is 32 random bytes: nothing slower would protect it better).

    Attributes:
        name: For people: whose or what for.
        team: Whose models its bearer uploads and sees under their own name.
        admin: Whether it may register datasets and make tokens.
        secret_sha256: Of the whole token as sent.
        last_used_at: To the minute.
        revoked_at: Since when it opens nothing.
    """

    __tablename__ = "token"

    name: Mapped[str]
    team: Mapped[str]
    admin: Mapped[bool]
    secret_sha256: Mapped[str] = mapped_column(unique=True)
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
