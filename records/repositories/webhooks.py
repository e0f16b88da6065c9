"""Webhooks and their deliveries: an outbox that workers empty.

A worker claims a webhook by moving `next_at` past the time that one attempt can take. So a webhook gets one
delivery at a time. If the worker dies, the claim ends by itself, and another worker sends the delivery again
under the same id. The receiver then drops the second by its id.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, and_, exists, func, select, update
from sqlalchemy.orm import Session, joinedload

from records.db import NOW
from records.models import Delivery, DeliveryState, Event, EventKind, Webhook, WebhookForm
from records.repositories import events

PREFIX = "vch_"  # secret scanners can be told what to look for
SECRET_BYTES = 32
MAX_ATTEMPTS = 18  # with the pauses below, they span about a day
RETRY_S, LONGEST_RETRY_S = 10.0, 3 * 3600.0  # pause after the first failed attempt, doubled for each other
REST_S = 60.0  # longest pause of a webhook whose delivery just failed: other deliveries wait, too
OFF_AFTER = timedelta(days=3)  # of failures without any success
ERROR_CHARACTERS = 500
SWITCHED_OFF = "the webhook was switched off before"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One attempt at one delivery, with all that is sent.

    Attributes:
        delivery_id: Sent with it, so that the receiver knows a delivery that comes twice.
        webhook_id: The webhook.
        token: Drawn for this attempt. Only its worker writes the result.
        url: Where it goes.
        secret: The key that signs it.
        form: Its form.
        event: What it tells.
    """

    delivery_id: UUID
    webhook_id: UUID
    token: UUID
    url: str
    secret: str
    form: WebhookForm
    event: Event


def pause_s(attempts: int) -> float:
    """How long a delivery waits after so many failed attempts, seconds.

    >>> pause_s(1), pause_s(2), pause_s(MAX_ATTEMPTS)
    (10.0, 20.0, 10800.0)
    >>> sum(map(pause_s, range(1, MAX_ATTEMPTS))) / 3600  # hours
    23.68611111111111
    """
    return min(RETRY_S * 2.0 ** (attempts - 1), LONGEST_RETRY_S)


def create(
    session: Session, *, team: str, by: str, url: str, kinds: Sequence[str], form: WebhookForm
) -> Webhook:
    """Make a webhook with a new secret."""
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    found = Webhook(team=team, by=by, url=url, secret=secret, kinds=list(kinds), form=form)
    session.add(found)
    session.flush()
    session.refresh(found)
    return found


def get(session: Session, webhook_id: UUID, *, lock: bool = False) -> Webhook | None:
    """Find a webhook by its id. Who changes its deliveries locks it first.

    The lock lets new deliveries refer to the webhook, so no event waits for it.
    """
    mode = {"key_share": True} if lock else None
    return session.get(Webhook, webhook_id, with_for_update=mode, populate_existing=lock)


def page(session: Session, team: str, *, limit: int, offset: int = 0) -> tuple[Sequence[Webhook], int]:
    """A team's webhooks, the newest first, and how many there are."""
    query = select(Webhook).where(Webhook.team == team)
    ordered = query.order_by(Webhook.created_at.desc(), Webhook.id).limit(limit).offset(offset)
    return session.scalars(ordered).all(), count(session, team)


def count(session: Session, team: str) -> int:
    """How many webhooks a team has."""
    return session.scalar(select(func.count()).select_from(Webhook).where(Webhook.team == team)) or 0


def delete(session: Session, webhook: Webhook) -> None:
    """Delete a webhook and its deliveries."""
    events.lock(session)  # no event is just now adding a delivery to it
    session.delete(webhook)
    session.flush()


def deliveries(
    session: Session, webhook_id: UUID, *, limit: int, offset: int = 0
) -> tuple[Sequence[Delivery], int]:
    """Deliveries of a webhook, the newest first, and how many there are."""
    query = select(Delivery).where(Delivery.webhook_id == webhook_id)
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    ordered = query.order_by(Delivery.event_id.desc()).limit(limit).offset(offset)
    return session.scalars(ordered.options(joinedload(Delivery.event))).all(), total


def delivery(session: Session, webhook_id: UUID, delivery_id: UUID) -> Delivery | None:
    """Find a delivery of a webhook."""
    query = select(Delivery).where(Delivery.id == delivery_id, Delivery.webhook_id == webhook_id)
    return session.scalars(query, execution_options={"populate_existing": True}).one_or_none()


def of_event(session: Session, webhook_id: UUID, event_id: int) -> Delivery:
    """The delivery of an event to a webhook."""
    query = select(Delivery).where(Delivery.webhook_id == webhook_id, Delivery.event_id == event_id)
    return session.scalars(query).one()


def waiting_test(session: Session, webhook_id: UUID) -> Delivery | None:
    """The test of a webhook that has not ended; None if there is none."""
    query = select(Delivery).join(Event).where(Event.kind == EventKind.WEBHOOK_TEST)
    waiting = Delivery.webhook_id == webhook_id, Delivery.state == DeliveryState.WAITING
    return session.scalars(query.where(*waiting).limit(1)).one_or_none()


def hurry(session: Session, webhook: Webhook) -> None:
    """Let the next delivery of a webhook go out now, unless a worker sends one just now."""
    sending = select(Delivery.id).where(Delivery.webhook_id == webhook.id, Delivery.token.is_not(None))
    if session.scalar(select(~exists(sending))):
        session.execute(update(Webhook).where(Webhook.id == webhook.id).values(next_at=NOW))


def send_now(session: Session, found: Delivery) -> None:
    """Let the next attempt of a delivery that waits be due now."""
    session.execute(update(Delivery).where(Delivery.id == found.id).values(due_at=NOW))
    session.refresh(found)


def redeliver(session: Session, found: Delivery) -> None:
    """Send a delivery that has ended once more, with new attempts."""
    again = {"state": DeliveryState.WAITING, "attempts": 0, "due_at": NOW, "ended_at": None}
    session.execute(update(Delivery).where(Delivery.id == found.id).values(**again))
    session.refresh(found)


def claim(session: Session, *, lease_s: float) -> Claim | None:
    """Claim the delivery that is due of the webhook that has waited longest; None if none is due."""
    due = and_(Delivery.webhook_id == Webhook.id, *_due())
    webhook = session.scalars(
        select(Webhook)
        .where(Webhook.next_at <= NOW, exists().where(due))
        .order_by(Webhook.next_at)
        .limit(1)
        .with_for_update(skip_locked=True, key_share=True)
    ).one_or_none()
    if webhook is None:
        return None
    first = (
        select(Delivery)
        .where(Delivery.webhook_id == webhook.id, *_due())
        .order_by(Delivery.due_at, Delivery.event_id)
        .limit(1)
    )
    found = session.scalars(first.options(joinedload(Delivery.event))).one_or_none()
    if found is None:  # another worker sent it between the two statements
        return None
    token = uuid4()
    found.token, found.attempts = token, found.attempts + 1
    webhook.next_at = cast(Any, _in(lease_s))
    session.flush()
    return Claim(
        delivery_id=found.id,
        webhook_id=webhook.id,
        token=token,
        url=webhook.url,
        secret=webhook.secret,
        form=webhook.form,
        event=found.event,
    )


def delivered(session: Session, claim: Claim, status: int) -> None:
    """Note that the receiver took a delivery. A webhook that was switched off is on again."""
    values = {"state": DeliveryState.DELIVERED, "ended_at": NOW, "status": status, "error": None}
    if _end_attempt(session, claim, **values):
        works = {"next_at": NOW, "failing_since": None, "off_at": None}
        session.execute(update(Webhook).where(Webhook.id == claim.webhook_id).values(**works))


def failed(session: Session, claim: Claim, error: str, status: int | None) -> bool:
    """Note that an attempt failed. It is repeated later, but for the last one.

    Returns:
        Whether the webhook is switched off now, because it has failed for `OFF_AFTER`, and this delivery at
        every attempt.
    """
    attempts = session.scalar(select(Delivery.attempts).where(Delivery.id == claim.delivery_id)) or 1
    wait_s = pause_s(attempts)
    ended = attempts >= MAX_ATTEMPTS
    values: dict[str, Any] = {"status": status, "error": error[:ERROR_CHARACTERS]}
    values |= {"state": DeliveryState.FAILED, "ended_at": NOW} if ended else {"due_at": _in(wait_s)}
    if not _end_attempt(session, claim, **values):
        return False
    since = func.coalesce(Webhook.failing_since, NOW)
    rest = {"next_at": _in(min(wait_s, REST_S)), "failing_since": since}
    session.execute(update(Webhook).where(Webhook.id == claim.webhook_id).values(**rest))
    return ended and _switch_off(session, claim.webhook_id)


def _end_attempt(session: Session, claim: Claim, **values: Any) -> bool:
    """Write the result of an attempt. Return False if its claim has ended, or the webhook is gone."""
    get(session, claim.webhook_id, lock=True)
    ours = Delivery.id == claim.delivery_id, Delivery.token == claim.token
    ended = update(Delivery).where(*ours).values(token=None, **values).returning(Delivery.id)
    return session.scalar(ended, execution_options={"synchronize_session": False}) is not None


def _switch_off(session: Session, webhook_id: UUID) -> bool:
    for_days = Webhook.failing_since < NOW - OFF_AFTER, Webhook.off_at.is_(None)
    off = update(Webhook).where(Webhook.id == webhook_id, *for_days).values(off_at=NOW).returning(Webhook.id)
    if session.scalar(off, execution_options={"synchronize_session": False}) is None:
        return False
    waiting = Delivery.webhook_id == webhook_id, Delivery.state == DeliveryState.WAITING
    given_up = {"state": DeliveryState.FAILED, "ended_at": NOW, "token": None, "error": SWITCHED_OFF}
    tests = select(Event.id).where(Event.kind == EventKind.WEBHOOK_TEST)
    session.execute(
        update(Delivery).where(*waiting, Delivery.event_id.not_in(tests)).values(**given_up),
        execution_options={"synchronize_session": False},
    )
    return True


def _due() -> tuple[ColumnElement[bool], ...]:
    return Delivery.state == DeliveryState.WAITING, Delivery.due_at <= NOW


def _in(seconds: float) -> ColumnElement[datetime]:
    return NOW + timedelta(seconds=seconds)
