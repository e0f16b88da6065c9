"""API tokens, of which only hashes are kept."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from records.db import Base, Identified


class Token(Identified, Base):
    """A secret's SHA-256 (the secret is 32 random bytes: nothing slower would protect it better).

    Attributes:
        name: A name for people, such as its owner or purpose.
        team: The team that the bearer uploads for.
        admin: Whether it may register datasets and make tokens.
        secret_sha256: SHA-256 of the whole token as it is sent.
        last_used_at: When it was last used, to the minute.
        revoked_at: When it was revoked.
    """

    __tablename__ = "token"

    name: Mapped[str]
    team: Mapped[str]
    admin: Mapped[bool]
    secret_sha256: Mapped[str] = mapped_column(unique=True)
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
