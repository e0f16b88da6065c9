"""API tokens and sign-ins of people. Of their secrets only hashes are kept."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from records.db import Base, Identified
from records.models.columns import words


class Role(StrEnum):
    """What a token or a person may do. Each role may also do what the roles before it may.

    A reader reads what its team sees. A submitter also uploads, evaluates and writes for its team, and makes
    tokens for it. An administrator does so for every team, and registers datasets.
    """

    READER = "reader"
    SUBMITTER = "submitter"
    ADMIN = "admin"

    def covers(self, other: Role) -> bool:
        """Whether this role may do all that another role may.

        >>> Role.ADMIN.covers(Role.SUBMITTER), Role.READER.covers(Role.SUBMITTER)
        (True, False)
        """
        order = list(Role)
        return order.index(self) >= order.index(other)


class Token(Identified, Base):
    """A secret's SHA-256 (the secret is 32 random bytes: nothing slower would protect it better).

    Attributes:
        name: A name for people, such as its purpose.
        team: The team that the bearer reads and writes for.
        role: What the bearer may do.
        owner: The person or machine that answers for it, and that may revoke it.
        secret_sha256: SHA-256 of the whole token as it is sent.
        expires_at: From when on it opens nothing; None if it does not expire.
        last_used_at: When it was last used, to the minute.
        revoked_at: When it was revoked.
    """

    __tablename__ = "token"
    __table_args__ = (Index("ix_token_team_created_at", "team", "created_at"),)

    name: Mapped[str]
    team: Mapped[str]
    role: Mapped[Role] = mapped_column(words(Role, "role"))
    owner: Mapped[str]
    secret_sha256: Mapped[str] = mapped_column(unique=True)
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class SignIn(Identified, Base):
    """A browser in which a person signed in at the OpenID Connect provider. Signing out deletes the row.

    Attributes:
        issuer: The provider.
        subject: The person, as the provider knows them. It never changes.
        name: The person's address or name, for people.
        team: The team that the person's group stands for.
        role: What the person may do.
        secret_sha256: SHA-256 of the browser's cookie.
        expires_at: From when on the person must sign in again.
    """

    __tablename__ = "sign_in"
    __table_args__ = (Index("ix_sign_in_issuer_subject", "issuer", "subject"),)

    issuer: Mapped[str]
    subject: Mapped[str]
    name: Mapped[str]
    team: Mapped[str]
    role: Mapped[Role] = mapped_column(words(Role, "role"))
    secret_sha256: Mapped[str] = mapped_column(unique=True)
    expires_at: Mapped[datetime]
