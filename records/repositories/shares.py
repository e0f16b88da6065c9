"""Links that read one page without a token."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, exists, func, not_, or_, select, update
from sqlalchemy.orm import Session

from records.db import NOW
from records.models import Evaluation, Share
from records.repositories.visibility import Visibility

PREFIX = "vcs_"  # secret scanners can be told what to look for
SECRET_BYTES = 32


def create(
    session: Session, evaluation_id: UUID, second_id: UUID | None, *, team: str, by: str, days: int
) -> tuple[Share, str]:
    """Make a link to an evaluation or a comparison. Return it with its secret, which is stored nowhere."""
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    found = Share(
        team=team,
        by=by,
        secret_sha256=_hash(secret),
        evaluation_id=evaluation_id,
        second_id=second_id,
        expires_at=NOW + timedelta(days=days),
    )
    session.add(found)
    session.flush()
    session.refresh(found)
    return found, secret


def opened_by(session: Session, secret: str) -> Share | None:
    """Find the link of a secret, unless it has expired or was revoked. What it opened may be deleted."""
    return session.scalars(select(Share).where(Share.secret_sha256 == _hash(secret), _valid())).one_or_none()


def get(session: Session, share_id: UUID) -> Share | None:
    """Find a link by its id."""
    return session.get(Share, share_id)


def page(
    session: Session, team: str, visible: Visibility, *, limit: int, offset: int = 0
) -> tuple[Sequence[Share], int]:
    """A team's links to what a reader sees, the newest first, and how many there are.

    An administrator of the team may have made a link to another team's private model.
    """
    opened = or_(Evaluation.id == Share.evaluation_id, Evaluation.id == Share.second_id)
    hidden = exists().where(opened, not_(visible.all_evaluations()))
    query = select(Share).where(Share.team == team, not_(hidden))
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    ordered = query.order_by(Share.created_at.desc(), Share.id).limit(limit).offset(offset)
    return session.scalars(ordered).all(), total


def live_of(session: Session, team: str, evaluation_id: UUID, second_id: UUID | None) -> Sequence[Share]:
    """A team's links to one page that open it, the newest first."""
    page = and_(Share.evaluation_id == evaluation_id, Share.second_id.is_not_distinct_from(second_id))
    query = select(Share).where(Share.team == team, page, _live())
    return session.scalars(query.order_by(Share.created_at.desc(), Share.id)).all()


def num_live(session: Session, team: str) -> int:
    """How many links of a team open something."""
    query = select(func.count()).select_from(Share).where(Share.team == team, _live())
    return session.scalar(query) or 0


def states(session: Session, share_ids: Sequence[UUID]) -> dict[UUID, str]:
    """By link, whether it is `live`, `expired`, `revoked` or `deleted`; by the database's clock."""
    state = case(
        (Share.deleted_at.is_not(None), "deleted"),
        (Share.revoked_at.is_not(None), "revoked"),
        (Share.expires_at <= NOW, "expired"),
        else_="live",
    )
    query = select(Share.id, state).where(Share.id.in_(share_ids))
    return {share: found for share, found in session.execute(query)}


def revoke(session: Session, share: Share, *, by: str) -> None:
    """Revoke a link. One that was revoked before stays as it is."""
    unless = Share.id == share.id, Share.revoked_at.is_(None)
    session.execute(update(Share).where(*unless).values(revoked_at=NOW, revoked_by=by))
    session.refresh(share)


def _valid() -> ColumnElement[bool]:
    return and_(Share.revoked_at.is_(None), Share.expires_at > NOW)


def _live() -> ColumnElement[bool]:
    return and_(_valid(), Share.deleted_at.is_(None))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()
