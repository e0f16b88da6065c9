"""API tokens."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from records.db import NOW
from records.models import Token

PREFIX = "vcp_"  # secret scanners can be told what to look for
SECRET_BYTES = 32
USED_EVERY = timedelta(minutes=1)


def create(session: Session, *, name: str, team: str, admin: bool = False) -> tuple[Token, str]:
    """Make a token. Return it with its secret, which is stored nowhere."""
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    token = Token(name=name, team=team, admin=admin, secret_sha256=_hash(secret))
    session.add(token)
    session.flush()
    return token, secret


def find(session: Session, secret: str) -> Token | None:
    """Find the token of a secret, unless it is revoked, and note that it was used."""
    token = session.scalars(
        select(Token).where(Token.secret_sha256 == _hash(secret), Token.revoked_at.is_(None))
    ).one_or_none()
    if token is not None:
        stale = or_(Token.last_used_at.is_(None), Token.last_used_at < NOW - USED_EVERY)
        session.execute(update(Token).where(Token.id == token.id, stale).values(last_used_at=NOW))
    return token


def every(session: Session) -> Sequence[Token]:
    """All tokens, oldest first."""
    return session.scalars(select(Token).order_by(Token.created_at)).all()


def revoke(session: Session, name: str) -> int:
    """Revoke the tokens of a name, and return their number."""
    rows = session.scalars(select(Token).where(Token.name == name, Token.revoked_at.is_(None))).all()
    session.execute(update(Token).where(Token.id.in_([token.id for token in rows])).values(revoked_at=NOW))
    return len(rows)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
