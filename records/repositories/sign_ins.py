"""Browsers in which people signed in at the OpenID Connect provider."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, String, and_, cast, delete, func, select, tuple_, update
from sqlalchemy.orm import Session

from records.db import NOW
from records.models import Role, SignIn
from records.repositories.tokens import SECRET_BYTES, hashed

PREFIX = "vci_"  # tells a sign-in's cookie from a token


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """Which sessions the installation's settings allow today. Others open nothing.

    Attributes:
        issuer: The sign-in provider.
        places: Teams, each with a role that a group of it has.
    """

    issuer: str
    places: Sequence[tuple[str, Role]]


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


def page(
    session: Session, admitted: Admitted, team: str | None, *, limit: int, offset: int = 0
) -> tuple[Sequence[SignIn], int]:
    """Sessions that open something, of one team or of all, the newest first, and how many there are."""
    query = select(SignIn).where(_live(admitted))
    if team is not None:
        query = query.where(SignIn.team == team)
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    ordered = query.order_by(SignIn.created_at.desc(), SignIn.id).limit(limit).offset(offset)
    return session.scalars(ordered).all(), total


def of_person(session: Session, admitted: Admitted, name: str, begins: str | None) -> Sequence[SignIn]:
    """Sessions that open something: those of everybody of this name, and those whose id begins so."""
    is_wanted = SignIn.name == name
    if begins is not None:
        is_wanted |= func.starts_with(cast(SignIn.id, String), begins)
    return session.scalars(select(SignIn).where(_live(admitted), is_wanted).order_by(SignIn.created_at)).all()


def end(session: Session, secret: str) -> None:
    """Sign one browser out."""
    session.execute(delete(SignIn).where(SignIn.secret_sha256 == hashed(secret)))


def end_all(session: Session, *, issuer: str, subject: str) -> int:
    """Sign a person out of every browser. Return how many sessions this ends."""
    theirs = delete(SignIn).where(SignIn.issuer == issuer, SignIn.subject == subject)
    return sum(session.scalars(theirs.returning(SignIn.expires_at > NOW)))


def _live(admitted: Admitted) -> ColumnElement[bool]:
    places = tuple_(SignIn.team, SignIn.role).in_(admitted.places)
    return and_(SignIn.expires_at > NOW, SignIn.issuer == admitted.issuer, places)
