"""Browsers in which people signed in at the OpenID Connect provider."""

from __future__ import annotations

import secrets
from datetime import timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from records.db import NOW
from records.models import Role, SignIn
from records.repositories.tokens import SECRET_BYTES, hashed

PREFIX = "vci_"  # tells a sign-in's cookie from a token


def create(
    session: Session, *, issuer: str, subject: str, name: str, team: str, role: Role, hours: int
) -> tuple[SignIn, str]:
    """Note a sign-in. Return it with the secret of the browser's cookie, which is stored nowhere.

    The person's other browsers get the same team and role: they may have changed at the provider. Sign-ins of
    anybody that have expired are deleted.
    """
    session.execute(delete(SignIn).where(SignIn.expires_at <= NOW))
    theirs = SignIn.issuer == issuer, SignIn.subject == subject
    session.execute(update(SignIn).where(*theirs).values(name=name, team=team, role=role))
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    found = SignIn(
        issuer=issuer,
        subject=subject,
        name=name,
        team=team,
        role=role,
        secret_sha256=hashed(secret),
        expires_at=NOW + timedelta(hours=hours),
    )
    session.add(found)
    session.flush()
    session.refresh(found)
    return found, secret


def find(session: Session, secret: str) -> SignIn | None:
    """Find the sign-in of a cookie, unless it has expired."""
    query = select(SignIn).where(SignIn.secret_sha256 == hashed(secret), SignIn.expires_at > NOW)
    return session.scalars(query).one_or_none()


def end(session: Session, secret: str) -> None:
    """Sign one browser out."""
    session.execute(delete(SignIn).where(SignIn.secret_sha256 == hashed(secret)))


def end_all(session: Session, *, issuer: str, subject: str) -> None:
    """Sign a person out of every browser."""
    session.execute(delete(SignIn).where(SignIn.issuer == issuer, SignIn.subject == subject))
