"""API tokens."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import Session

from records.db import NOW
from records.models import Role, Token

PREFIX = "vcp_"  # secret scanners can be told what to look for
SECRET_BYTES = 32
USED_EVERY = timedelta(minutes=1)


def create(
    session: Session,
    *,
    name: str,
    team: str,
    role: Role = Role.SUBMITTER,
    owner: str | None = None,
    days: int | None = None,
    no_later_than: datetime | None = None,
) -> tuple[Token, str]:
    """Make a token. Return it with its secret, which is stored nowhere.

    Args:
        session: Of the caller.
        name: For people.
        team: The team that the bearer reads and writes for.
        role: What the bearer may do.
        owner: Who answers for it. Left out, it is the name.
        days: When it expires: in so many days. Left out, it does not.
        no_later_than: When it expires at the latest.
    """
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    in_days = None if days is None else NOW + timedelta(days=days)
    ends = [end for end in (in_days, no_later_than) if end is not None]
    token = Token(
        name=name,
        team=team,
        role=role,
        owner=owner or name,
        secret_sha256=hashed(secret),
        expires_at=func.least(*ends) if ends else None,
    )
    session.add(token)
    session.flush()
    session.refresh(token)
    return token, secret


def find(session: Session, secret: str) -> Token | None:
    """Find the token of a secret, unless it is revoked or has expired, and note that it was used."""
    token = session.scalars(select(Token).where(Token.secret_sha256 == hashed(secret), _live())).one_or_none()
    if token is not None:
        stale = or_(Token.last_used_at.is_(None), Token.last_used_at < NOW - USED_EVERY)
        session.execute(update(Token).where(Token.id == token.id, stale).values(last_used_at=NOW))
    return token


def expired_at(session: Session, secret: str) -> datetime | None:
    """When the token of a secret expired. None if it did not, or was revoked."""
    ended = Token.revoked_at.is_(None), Token.expires_at <= NOW
    return session.scalar(select(Token.expires_at).where(Token.secret_sha256 == hashed(secret), *ended))


def get(session: Session, token_id: UUID) -> Token | None:
    """Find a token by its id."""
    return session.get(Token, token_id)


def every(session: Session, team: str | None = None) -> Sequence[Token]:
    """All tokens, or those of a team, oldest first."""
    query = select(Token).order_by(Token.created_at, Token.id)
    return session.scalars(query if team is None else query.where(Token.team == team)).all()


def page(session: Session, team: str, *, limit: int, offset: int = 0) -> tuple[Sequence[Token], int]:
    """A team's tokens, the newest first, and how many there are."""
    query = select(Token).where(Token.team == team)
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    ordered = query.order_by(Token.created_at.desc(), Token.id).limit(limit).offset(offset)
    return session.scalars(ordered).all(), total


def num_live(session: Session, team: str) -> int:
    """How many tokens of a team open something."""
    query = select(func.count()).select_from(Token).where(Token.team == team, _live())
    return session.scalar(query) or 0


def states(session: Session, found: Sequence[Token]) -> dict[UUID, str]:
    """By token, whether it is `live`, `expired` or `revoked`; by the database's clock."""
    query = select(Token.id, Token.revoked_at, Token.expires_at <= NOW)
    return {
        token: "revoked" if revoked_at else "expired" if expired else "live"
        for token, revoked_at, expired in session.execute(query.where(Token.id.in_([t.id for t in found])))
    }


def revoke(session: Session, token: Token) -> None:
    """Revoke a token. One that was revoked before stays as it is."""
    unless = Token.id == token.id, Token.revoked_at.is_(None)
    session.execute(update(Token).where(*unless).values(revoked_at=NOW))
    session.refresh(token)


def revoke_named(session: Session, name: str) -> int:
    """Revoke the tokens of a name, and return their number."""
    rows = session.scalars(select(Token).where(Token.name == name, Token.revoked_at.is_(None))).all()
    session.execute(update(Token).where(Token.id.in_([token.id for token in rows])).values(revoked_at=NOW))
    return len(rows)


def hashed(secret: str) -> str:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()


def _live() -> ColumnElement[bool]:
    return and_(Token.revoked_at.is_(None), or_(Token.expires_at.is_(None), Token.expires_at > NOW))
